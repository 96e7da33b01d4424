//! What is deployed beside the server asks for metrics that it has: every query of the dashboard and of the alert rules,
//! parsed, and every name, label and value in it looked up on the pages of a running server.
//!
//! Not here: whether an alert fires when it should, which `promtool test rules` says of `alerts_test.yml`; only that there
//! is a case for each.

use crate::metrics::{Page, pages};
use crate::support::Server;
use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::{self, Expr, LabelModifier, VectorSelector};
use promql_parser::util::{ExprVisitor, walk_expr};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// What Prometheus itself adds to every series.
const TARGET_LABELS: [&str; 2] = ["job", "instance"];
/// The one series of Prometheus itself that is used.
const UP: &str = "up";
/// Where the package installs the page with the chapters of the alerts, as an address.
const RUNBOOKS: &str = "file:///usr/share/doc/uproar/docs/OPERATIONS.md";
/// Where each alert has its chapter.
const OPERATIONS: &str = include_str!("../../docs/OPERATIONS.md");

fn file(path: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn yaml(path: &str) -> Value {
    serde_yaml_ng::from_str(&file(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("no {key} in {value}"))
}

fn array<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().unwrap_or_else(|| panic!("no {key} in {value}"))
}

/// The alerts, of all groups.
fn alerts() -> Vec<Value> {
    let file = yaml("deploy/prometheus/alerts.yml");
    array(&file, "groups").iter().flat_map(|group| array(group, "rules").to_vec()).collect()
}

/// Titles and queries of the dashboard's panels, as Grafana sends them.
fn panels() -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_str(&file("deploy/grafana/uproar.json")).unwrap();
    let panels = array(&dashboard, "panels").iter().filter(|panel| panel["type"] != "row");
    let queries = panels.flat_map(|panel| array(panel, "targets").iter().map(move |target| (panel, target)));
    queries
        .map(|(panel, target)| {
            let query = text(target, "expr").replace("$__rate_interval", "1m").replace("$instance", ".*");
            assert!(!query.contains('$'), "a variable that the dashboard does not have: {query}");
            (text(panel, "title").to_owned(), query)
        })
        .collect()
}

/// What the pages have, by the job that scrapes each.
struct Served {
    pages: BTreeMap<String, Page>,
}

impl Served {
    /// The jobs are those of `scrape.yml`.
    fn by(server: &Server) -> Self {
        let [node, shards] = pages(server);
        let mut by_path = BTreeMap::from([("/metrics", node), ("/metrics/shards", shards)]);
        let config = yaml("deploy/prometheus/scrape.yml");
        let jobs = array(&config, "scrape_configs").iter();
        let pages = jobs.map(|job| {
            let page = by_path.remove(text(job, "metrics_path")).unwrap_or_else(|| panic!("no such page: {job}"));
            (text(job, "job_name").to_owned(), page)
        });
        Self { pages: pages.collect() }
    }

    /// What is wrong with a query.
    fn judge(&self, query: &str) -> Vec<String> {
        let expr = match parser::parse(query) {
            Ok(expr) => expr,
            Err(error) => return vec![error],
        };
        let mut reading = Reading { served: self, labels: BTreeSet::new(), wrong: Vec::new(), groupings: Vec::new() };
        walk_expr(&mut reading, &expr).unwrap();
        for label in std::mem::take(&mut reading.groupings) {
            if !reading.labels.contains(&label) && !TARGET_LABELS.contains(&label.as_str()) {
                reading.wrong.push(format!("grouped by {label}, which nothing in it has"));
            }
        }
        reading.wrong
    }

    fn judge_selector(&self, selector: &VectorSelector, labels: &mut BTreeSet<String>) -> Result<(), String> {
        let name = selector.name.as_deref().ok_or("a selector without a name")?;
        let matchers = &selector.matchers.matchers;
        let job = matchers.iter().find(|matcher| matcher.name == "job" && matcher.op == MatchOp::Equal);
        let job = job.ok_or_else(|| format!("{name} names no job, and stands on two pages"))?;
        let page = self.pages.get(&job.value).ok_or_else(|| format!("no job {} in scrape.yml", job.value))?;
        if name == UP {
            return Ok(());
        }
        let found = page.labels(name).ok_or_else(|| format!("{} has no {name}", job.value))?;
        for matcher in matchers.iter().filter(|matcher| !TARGET_LABELS.contains(&matcher.name.as_str())) {
            let values = found.get(&matcher.name).ok_or_else(|| format!("{name} has no label {}", matcher.name))?;
            if let Some(value) = wanted(matcher).find(|value| !values.contains(*value)) {
                return Err(format!("{name} has no {}={value:?}, only {values:?}", matcher.name));
            }
        }
        labels.extend(found.into_keys());
        Ok(())
    }
}

/// The values that a matcher names; alternatives are the only patterns that are used.
fn wanted(matcher: &Matcher) -> impl Iterator<Item = &str> {
    matcher.value.split(move |c| c == '|' && matches!(matcher.op, MatchOp::Re(_) | MatchOp::NotRe(_)))
}

/// A query on the way.
struct Reading<'a> {
    served: &'a Served,
    /// Labels of all that it selects.
    labels: BTreeSet<String>,
    groupings: Vec<String>,
    wrong: Vec<String>,
}

impl ExprVisitor for Reading<'_> {
    type Error = std::convert::Infallible;

    fn pre_visit(&mut self, expr: &Expr) -> Result<bool, Self::Error> {
        if let Some(Err(error)) =
            selector_of(expr).map(|selector| self.served.judge_selector(selector, &mut self.labels))
        {
            self.wrong.push(error);
        }
        let grouping: Option<&LabelModifier> = match expr {
            Expr::Aggregate(aggregate) => aggregate.modifier.as_ref(),
            Expr::Binary(binary) => binary.modifier.as_ref().and_then(|modifier| modifier.matching.as_ref()),
            _ => None,
        };
        self.groupings.extend(grouping.iter().flat_map(|grouping| grouping.labels().labels.iter().cloned()));
        Ok(true)
    }
}

fn selector_of(expr: &Expr) -> Option<&VectorSelector> {
    match expr {
        Expr::VectorSelector(selector) => Some(selector),
        Expr::MatrixSelector(matrix) => Some(&matrix.vs),
        _ => None,
    }
}

#[test]
fn every_query_asks_for_what_the_server_has() {
    let server = Server::start(&["--shards", "2", "--window", "100ms"]);
    let served = Served::by(&server);
    let alerts = alerts().into_iter().map(|alert| (text(&alert, "alert").to_owned(), text(&alert, "expr").to_owned()));
    let queries: Vec<_> = alerts.chain(panels()).collect();
    assert!(queries.len() > 60, "the files are read: {}", queries.len());
    let wrong: Vec<_> = queries
        .iter()
        .flat_map(|(title, query)| {
            served.judge(query).into_iter().map(move |wrong| format!("{title}: {wrong}: {query}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_query_for_what_is_not_there_is_found() {
    let server = Server::start(&["--shards", "1", "--window", "100ms"]);
    let served = Served::by(&server);
    for (query, wrong) in [
        ("rate(uproar_taps_total{job=\"uproar\"}[1m])", "no uproar_taps_total"),
        ("uproar_ready", "names no job"),
        ("uproar_ready{job=\"other\"}", "no job other"),
        ("uproar_loop_turns_total{job=\"uproar\"}", "no uproar_loop_turns_total"),
        ("uproar_reactions_total{job=\"uproar\",shard=\"0\"}", "no label shard"),
        ("uproar_reactions_total{job=\"uproar\",proto=\"tcp\"}", "no proto=\"tcp\""),
        ("uproar_connections_total{job=\"uproar\",outcome=~\"full|empty\"}", "no outcome=\"empty\""),
        ("sum by (room) (uproar_reactions_total{job=\"uproar\"})", "grouped by room"),
        ("sum(uproar_ready{job=\"uproar\"}", ""),
    ] {
        let found = served.judge(query);
        assert!(found.iter().any(|found| found.contains(wrong)), "{query}: {found:?}");
    }
}

#[test]
fn every_alert_says_what_it_means_and_where_it_is_explained() {
    let alerts = alerts();
    let mut names = BTreeSet::new();
    for alert in &alerts {
        let name = text(alert, "alert");
        assert!(names.insert(name) && name.starts_with("Uproar"), "{name}");
        assert!(["critical", "warning"].contains(&text(&alert["labels"], "severity")), "{name}");
        let annotations = &alert["annotations"];
        for annotation in ["summary", "description"] {
            assert!(text(annotations, annotation).len() > 20, "{name} has a {annotation}");
        }
        let anchor = format!("alert-{}", name.to_lowercase());
        assert_eq!(text(annotations, "runbook_url"), format!("{RUNBOOKS}#{anchor}"));
        let is_heading = |line: &str| line.starts_with('#') && anchor_of(line) == anchor;
        assert!(OPERATIONS.lines().any(is_heading), "docs/OPERATIONS.md has no chapter with the anchor {anchor}");
    }
}

/// The name that GitHub gives a heading.
fn anchor_of(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    words
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

#[test]
fn every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() {
    let cases = yaml("deploy/prometheus/alerts_test.yml");
    let cases = array(&cases, "tests");
    // Silence of an alert says nothing where there is nothing to judge.
    let healthy: Vec<_> = array(&cases[0], "input_series").iter().map(|input| text(input, "series")).collect();
    let fires = |name: &str| cases.iter().any(|case| is_seen_firing(case, name));
    for alert in alerts() {
        let name = text(&alert, "alert");
        assert!(fires(name), "no case sees {name} fire");
        for metric in metrics_of(text(&alert, "expr")) {
            let is_metric = |series: &&str| series.split('{').next() == Some(&metric);
            assert!(
                healthy.iter().any(is_metric),
                "the node that does well has no {metric}, so {name} is not seen silent"
            );
        }
    }
    assert!(!fires("UproarReady"), "there is no such alert");
}

/// Whether a case of `alerts_test.yml` expects `alert` among those that fire.
fn is_seen_firing(case: &Value, alert: &str) -> bool {
    let expected = |key: &str, list: &str| -> Vec<Value> {
        let checks = case[key].as_array().into_iter().flatten();
        checks
            .filter(|check| list != "exp_alerts" || check["alertname"] == alert)
            .flat_map(|check| check[list].as_array().cloned().unwrap_or_default())
            .collect()
    };
    let label = format!("alertname=\"{alert}\"");
    let mut samples = expected("promql_expr_test", "exp_samples").into_iter();
    samples.any(|sample| text(&sample, "labels").contains(&label))
        || !expected("alert_rule_test", "exp_alerts").is_empty()
}

/// Names of the series that a query selects.
fn metrics_of(query: &str) -> BTreeSet<String> {
    struct Names(BTreeSet<String>);
    impl ExprVisitor for Names {
        type Error = std::convert::Infallible;

        fn pre_visit(&mut self, expr: &Expr) -> Result<bool, Self::Error> {
            self.0.extend(selector_of(expr).and_then(|selector| selector.name.clone()));
            Ok(true)
        }
    }
    let mut names = Names(BTreeSet::new());
    walk_expr(&mut names, &parser::parse(query).unwrap()).unwrap();
    names.0
}

#[test]
fn nodes_that_are_scraped_alike_are_told_apart() {
    let config = yaml("deploy/prometheus/scrape.yml");
    let targets = array(&config, "scrape_configs").iter().flat_map(|job| array(job, "static_configs"));
    let names: BTreeSet<_> = targets.map(|target| text(&target["labels"], "instance")).collect();
    assert_eq!(names.len(), 1, "both pages are of one node: {names:?}");
}

#[test]
fn panels_of_the_dashboard_lie_side_by_side_and_are_described() {
    let dashboard: Value = serde_json::from_str(&file("deploy/grafana/uproar.json")).unwrap();
    let mut ids = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for panel in array(&dashboard, "panels") {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "an id twice: {panel}");
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
        assert!(x + w <= 24, "beyond the edge: {panel}");
        for place in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(taken.insert(place), "{} covers another panel", panel["title"]);
        }
        assert!(panel["type"] == "row" || text(panel, "description").ends_with('.'), "{}", panel["title"]);
    }
}
