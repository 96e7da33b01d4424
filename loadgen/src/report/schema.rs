//! The published JSON schema of reports, made from their types and the comments at them.
//!
//! Invariant: `loadgen/schema/report.schema.json` is what [`to_json`] says; a test compares them.

use super::Report;
use schemars::generate::SchemaSettings;

/// The schema as it is published: JSON Schema, draft 2020-12.
pub fn to_json() -> String {
    let schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Report>();
    let text = serde_json::to_string_pretty(&schema);
    text.unwrap_or_else(|error| unreachable!("keys are text: {error}")) + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crowd::Part;
    use crate::report::synthetic::Play;
    use serde_json::{Value, json};

    const PUBLISHED: &str = include_str!("../../schema/report.schema.json");

    fn errors(report: &Value) -> Vec<String> {
        let schema: Value = serde_json::from_str(PUBLISHED).unwrap();
        let validator = jsonschema::draft202012::new(&schema).unwrap();
        validator.iter_errors(report).map(|error| error.to_string()).collect()
    }

    #[test]
    fn the_published_schema_is_that_of_the_types() {
        assert!(
            PUBLISHED == to_json(),
            "reports have changed; run: cargo run -p uproar-loadgen -- schema > loadgen/schema/report.schema.json"
        );
    }

    #[test]
    fn a_report_is_what_the_schema_says() {
        let mut play = Play::new(1);
        play.lose_before_server("udp", 3);
        for part in ["1/1", "2/3"] {
            let report = serde_json::to_value(play.report(part.parse().unwrap())).unwrap();
            assert_eq!(errors(&report), [""; 0], "{part}");
        }
    }

    #[test]
    fn what_is_no_report_is_not() {
        let report = || serde_json::to_value(Play::new(1).report(Part::WHOLE)).unwrap();
        let (mut typed, mut short) = (report(), report());
        typed["taps_sent"] = json!("many");
        assert!(errors(&typed)[0].contains("many"), "{:?}", errors(&typed));
        short.as_object_mut().unwrap().remove("real");
        assert!(errors(&short)[0].contains("real"), "{:?}", errors(&short));
    }
}
