//! Golden samples as the pages print them: each byte stands where the page says.

use crate::kind::{Kind, examples};
use crate::page::{Block, read};
use std::collections::BTreeMap;

/// Some bytes of a sample: the column that they stand in, their offset, and what the page writes for them.
struct Row {
    column: usize,
    offset: usize,
    bytes: String,
}

/// The bytes of a sample.
pub(crate) fn sample(name: &str) -> Vec<u8> {
    let text = read(&format!("wire/tests/golden/{name}"));
    let digits: String =
        text.lines().map(|line| line.split('#').next().unwrap()).collect::<String>().split_whitespace().collect();
    let pairs = digits.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap().to_owned());
    pairs.map(|pair| u8::from_str_radix(&pair, 16).unwrap_or_else(|error| panic!("{name}: {error}"))).collect()
}

/// Cells of a line are two spaces apart, and several samples stand side by side.
fn rows(line: &str) -> Vec<Row> {
    let mut cells = Vec::new();
    let mut at = 0;
    for cell in line.split("  ") {
        let start = at + cell.len() - cell.trim_start().len();
        cells.extend((!cell.trim().is_empty()).then(|| (start, cell.trim())));
        at += cell.len() + 2;
    }
    let is_bytes = |cell: &str| {
        cell.split(' ').all(|byte| byte == "..." || byte.len() == 2 && u8::from_str_radix(byte, 16).is_ok())
    };
    let pairs = cells.windows(2).filter(|pair| is_bytes(pair[0].1) && pair[0].1 != "...");
    pairs
        .filter_map(|pair| {
            Some(Row { column: pair[0].0, offset: pair[1].1.parse().ok()?, bytes: pair[0].1.to_owned() })
        })
        .collect()
}

/// What of a block is not in the samples that the paragraph before it names.
fn wrong(block: &Block) -> Vec<String> {
    let names: Vec<_> = block.introduced_by.iter().filter(|span| span.ends_with(".hex")).collect();
    let mut columns: BTreeMap<usize, Vec<Row>> = BTreeMap::new();
    for row in block.text.lines().flat_map(rows) {
        columns.entry(row.column).or_default().push(row);
    }
    if columns.len() != names.len() {
        return vec![format!("{}: {} samples side by side, and {names:?}", block.place, columns.len())];
    }
    let mut wrong = Vec::new();
    for (rows, name) in columns.into_values().zip(names) {
        let sample = sample(name);
        for row in rows {
            let (start, end) = row.bytes.split_once(" ... ").unwrap_or((&row.bytes, ""));
            let bytes = |text: &str| {
                text.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect::<Vec<_>>()
            };
            let rest = sample.get(row.offset..).unwrap_or_default();
            let (start, end) = (bytes(start), bytes(end));
            let is_there =
                rest.starts_with(&start) && (end.is_empty() || rest.windows(end.len()).any(|window| window == end));
            wrong
                .extend((!is_there).then(|| format!("{}: {name} has no {} at {}", block.place, row.bytes, row.offset)));
        }
    }
    wrong
}

#[test]
fn every_byte_stands_where_the_page_says() {
    let wrong: Vec<_> = examples(Kind::Bytes).iter().flat_map(wrong).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_wrong_byte_is_found() {
    let block = |text: &str| Block {
        place: String::new(),
        language: String::new(),
        text: text.into(),
        introduced_by: vec!["reaction_one.hex".into()],
    };
    assert_eq!(wrong(&block("01      0  version\n00      1  flags\n")), Vec::<String>::new());
    assert_eq!(wrong(&block("01      0  version\n01      1  flags\n")).len(), 1);
    assert_eq!(wrong(&block("01      0  version      00      1  flags\n")).len(), 1);
}
