//! A page of made-up data is well-formed and says what it was given, also when what it was given is empty or hostile.

mod sample;

use super::*;
use roxmltree::{Document, Node, ParsingOptions};
use sample::{hostile, sample, scarce};

/// The page as XML, which is stricter than HTML: void elements are closed, everything else has to be well-formed as it is.
fn parsed<T>(page: &str, look: impl FnOnce(&Document<'_>) -> T) -> T {
    let mut page = page.strip_prefix("<!DOCTYPE html>").expect("a doctype").to_owned();
    for void in ["<meta ", "<link "] {
        page = page
            .split(void)
            .enumerate()
            .map(
                |(index, part)| if index == 0 { part.into() } else { format!("{void}{}", part.replacen('>', "/>", 1)) },
            )
            .collect();
    }
    let document =
        Document::parse_with_options(&page, ParsingOptions::default()).unwrap_or_else(|error| panic!("{error}"));
    look(&document)
}

fn named<'a, 'b>(document: &'b Document<'a>, name: &str) -> Vec<Node<'b, 'a>> {
    document.descendants().filter(|node| node.tag_name().name() == name).collect()
}

fn with_class<'a, 'b>(document: &'b Document<'a>, class: &str) -> Vec<Node<'b, 'a>> {
    let has = |node: &Node<'_, '_>| node.attribute("class").is_some_and(|all| all.split(' ').any(|one| one == class));
    document.descendants().filter(has).collect()
}

/// The drawings, without the small signs between words.
fn drawings<'a, 'b>(document: &'b Document<'a>) -> Vec<Node<'b, 'a>> {
    named(document, "svg").into_iter().filter(|svg| svg.attribute("aria-hidden").is_none()).collect()
}

/// Nodes with a class in the drawings of one plot.
fn in_plot<'a, 'b>(document: &'b Document<'a>, plot: &str, class: &str) -> Vec<Node<'b, 'a>> {
    let of_plot = |svg: &Node<'_, '_>| svg.attribute("aria-labelledby").is_some_and(|id| id.starts_with(plot));
    let inside = |node: &Node<'_, '_>| node.parent().is_some_and(|svg| of_plot(&svg));
    with_class(document, class).into_iter().filter(inside).collect()
}

/// Every number of every drawing is a number.
fn drawn_within_reason(page: &str) {
    assert!(!page.contains("NaN") && !page.contains(">inf"), "a number is none");
    let number = |text: &str| text.parse::<f64>().is_ok_and(f64::is_finite);
    parsed(page, |document| {
        for node in drawings(document).iter().flat_map(Node::descendants) {
            if let Some(path) = node.attribute("d") {
                let numbers = path.split(['M', 'L', 'Z', ' ']).filter(|text| !text.is_empty());
                assert!(path.starts_with('M') && numbers.clone().count() >= 4 && numbers.clone().all(number), "{path}");
            }
            for name in ["x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "width", "height"] {
                assert!(node.attribute(name).is_none_or(number), "{node:?}");
            }
        }
    });
}

#[test]
fn every_sample_is_well_formed_and_whole() {
    for view in [sample(), scarce(), hostile()] {
        let page = view.render();
        drawn_within_reason(&page);
        assert_eq!(page, view.render(), "the same view gives the same page");
    }
}

#[test]
fn a_page_needs_nothing_else() {
    let page = sample().render();
    for outside in ["http://", "https://", "url(", "@import", " src="] {
        assert!(!page.contains(outside), "{outside}");
    }
    parsed(&page, |document| {
        let hrefs: Vec<_> = document.descendants().filter_map(|node| node.attribute("href")).collect();
        assert_eq!(hrefs, ["data:,"]);
    });
}

#[test]
fn drawings_have_a_title_and_a_description_of_their_own() {
    parsed(&sample().render(), |document| {
        let mut ids: Vec<_> = document.descendants().filter_map(|node| node.attribute("id")).collect();
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all, "ids are unique");
        let drawings = drawings(document);
        assert_eq!(drawings.len(), 3 + 6 * 2 + 3);
        for svg in drawings {
            assert_eq!(svg.attribute("role"), Some("img"));
            for by in ["aria-labelledby", "aria-describedby"] {
                let said = svg.children().find(|child| child.attribute("id") == svg.attribute(by)).expect(by);
                assert!(said.text().is_some_and(|text| !text.is_empty()));
            }
        }
    });
}

#[test]
fn the_numbers_are_on_the_page() {
    let view = sample();
    parsed(&view.render(), |document| {
        let text: String = document.descendants().filter_map(|node| node.text()).collect();
        for fact in view.headlines.iter().chain(&view.real).chain(&view.environment) {
            assert!(text.contains(&fact.name) && text.contains(&fact.value), "{fact:?}");
        }
        assert!(text.contains(&view.scenario_text) && text.contains("Nothing was extrapolated"));
        assert_eq!(with_class(document, "mark").len(), view.thresholds.len());
        let readings: Vec<_> = document.descendants().filter_map(|node| node.attribute("data-readings")).collect();
        assert_eq!(readings.len(), 7);
        for reading in readings {
            let value: serde_json::Value = serde_json::from_str(reading).unwrap();
            let places = value["at"].as_array().unwrap().len();
            assert!(value["lines"].as_array().unwrap().iter().all(|line| line.as_array().unwrap().len() == places));
        }
    });
}

#[test]
fn hostile_names_stay_text() {
    let page = hostile().render();
    assert!(!page.contains("<script>alert") && !page.contains("<img") && !page.contains('\u{1b}'));
    parsed(&page, |document| {
        assert_eq!(named(document, "script").len(), 1);
        assert!(named(document, "img").is_empty());
        assert!(
            document.descendants().all(|node| node.attributes().all(|attribute| !attribute.name().starts_with("on")))
        );
        let title = named(document, "h1")[0].text().unwrap();
        assert_eq!(title, sample::HOSTILE.replace('\u{1b}', "\u{fffd}"));
    });
}

#[test]
fn without_samples_there_is_a_sentence() {
    parsed(&scarce().render(), |document| {
        let said: Vec<_> = with_class(document, "empty").iter().filter_map(Node::text).collect();
        assert!(
            said.contains(&"No admin address was given.") && said.contains(&"There is nothing to compare."),
            "{said:?}"
        );
        assert!(said.iter().filter(|said| **said == "There are no samples.").count() >= 2, "{said:?}");
    });
}

#[test]
fn one_sample_is_a_dot_and_a_gap_is_not_joined() {
    let mut view = scarce();
    view.charts.tap_to_frame.interval_s = 1.0;
    view.charts.tap_to_frame.p50_us = vec![None, Some(2_000_000.0), None];
    parsed(&view.render(), |document| {
        assert_eq!(in_plot(document, "frame-", "dot").len(), 2, "one for each width");
        assert!(in_plot(document, "frame-", "line").is_empty());
    });
    view.charts.tap_to_frame.p50_us = [1.0, 1.0, f64::NAN, 1.0, 1.0].map(Some).into();
    parsed(&view.render(), |document| {
        let lines = in_plot(document, "frame-", "line");
        let starts: Vec<_> = lines.iter().map(|line| line.attribute("d").unwrap().matches('M').count()).collect();
        assert_eq!(starts, [2, 2], "two stretches in each width");
    });
}

#[test]
fn a_verdict_is_a_word() {
    for (verdict, word) in [(Verdict::Passed, "passed"), (Verdict::Failed, "failed"), (Verdict::Invalid, "invalid")] {
        let page = Page { verdict, ..scarce() }.render();
        parsed(&page, |document| {
            let section = with_class(document, "verdict")[0];
            assert!(section.descendants().any(|node| node.text() == Some(word)));
        });
    }
}

/// For whoever changes how a page looks: all of them lie next to the test's own binary, in the target directory's `tmp`.
#[test]
fn pages_to_look_at() {
    let binary = std::env::current_exe().unwrap();
    let folder = binary.ancestors().nth(3).expect("target/debug/deps").join("tmp");
    std::fs::create_dir_all(&folder).unwrap();
    let synthetic = Page::from(&crate::report::synthetic::Play::new(1).report(crate::crowd::Part::WHOLE));
    let views = [("sample", sample()), ("scarce", scarce()), ("hostile", hostile()), ("synthetic", synthetic)];
    for (name, view) in views {
        let path = folder.join(format!("report_{name}.html"));
        std::fs::write(&path, view.render()).unwrap();
        assert!(path.metadata().unwrap().len() > 10_000);
    }
}

#[test]
fn a_report_becomes_a_page() {
    let mut play = crate::report::synthetic::Play::new(1);
    for losses in [0, 20] {
        play.lose_before_server("udp", losses);
        let report = play.report(crate::crowd::Part::WHOLE);
        let page = page(&report);
        drawn_within_reason(&page);
        parsed(&page, |document| {
            let text: String = document.descendants().filter_map(|node| node.text()).collect();
            for number in [report.people, report.people_acted, report.taps_sent, report.taps_framed] {
                assert!(text.contains(&crate::table::grouped(number)), "{number}");
            }
            assert!(report.findings.iter().all(|finding| text.contains(finding)));
            let class = if losses == 0 { "good" } else { "bad" };
            assert!(with_class(document, "verdict")[0].attribute("class").unwrap().ends_with(class));
        });
    }
}
