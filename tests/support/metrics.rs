//! One scrape of the server, and sums over its series.

/// A page of Prometheus text.
pub(crate) struct Metrics {
    page: String,
}

impl Metrics {
    /// Of the page as it came.
    pub(crate) fn of(page: String) -> Self {
        Self { page }
    }

    /// The text.
    pub(crate) fn page(&self) -> &str {
        &self.page
    }

    /// The value of the one series of a name that has no labels.
    ///
    /// # Panics
    /// When there is no such series.
    pub(crate) fn value(&self, name: &str) -> f64 {
        let value = self.page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let value = value.unwrap_or_else(|| panic!("no series {name} in\n{}", self.page));
        value.parse().unwrap_or_else(|_| panic!("{name} is {value}, not a number"))
    }

    /// The sum of all series of a name, or of those that have every label named: `uproar_subscribers{shard="0"}`.
    ///
    /// # Panics
    /// When there is no such series: a name that is wrong must not pass for a counter at 0.
    pub(crate) fn sum(&self, selector: &str) -> u64 {
        let (name, labels) = selector.split_once('{').unwrap_or((selector, ""));
        let wanted: Vec<_> = labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty()).collect();
        let values: Vec<u64> = self
            .page
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.rsplit_once(' '))
            .filter_map(|(series, value)| {
                let (found, labels) = series.split_once('{').unwrap_or((series, ""));
                let labels: Vec<_> = labels.trim_end_matches('}').split(',').collect();
                let matches = found == name && wanted.iter().all(|label| labels.contains(label));
                matches.then(|| value.parse().unwrap_or_else(|_| panic!("{series} is {value}, not a count")))
            })
            .collect();
        assert!(!values.is_empty(), "no series {selector} in\n{}", self.page);
        values.iter().sum()
    }
}
