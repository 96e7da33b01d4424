//! The pages of the documentation, taken apart: blocks of code, spans of code, links, headings.

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};
use std::path::{Path, PathBuf};

/// Directories without documentation of this project.
const PASSED_OVER: [&str; 5] = ["target", "node_modules", ".git", "corpus", "artifacts"];
/// Directories whose files explain themselves in comments.
const COMMENTED: [&str; 2] = ["deploy", "tuning"];

/// A page, or the comments of a file.
pub(crate) struct Page {
    /// Path from the root of the repository.
    pub(crate) path: String,
    pub(crate) blocks: Vec<Block>,
    pub(crate) spans: Vec<Span>,
    /// Targets of links, with the line that each stands on.
    pub(crate) links: Vec<(usize, String)>,
    /// Names by which links reach the headings.
    pub(crate) anchors: Vec<String>,
}

/// A block of code, indented or fenced.
pub(crate) struct Block {
    /// Page and line, to be found again.
    pub(crate) place: String,
    /// What the fence says it is; empty for indented blocks.
    pub(crate) language: String,
    pub(crate) text: String,
    /// Spans of code in the paragraph before it.
    pub(crate) introduced_by: Vec<String>,
}

/// Code within a sentence.
pub(crate) struct Span {
    pub(crate) place: String,
    pub(crate) text: String,
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every Markdown page of the repository, by path.
pub(crate) fn pages() -> Vec<Page> {
    let files = files(root()).into_iter().filter(|path| path.extension().is_some_and(|end| end == "md"));
    let pages: Vec<_> = files.map(|path| Page::read(&path)).collect();
    assert!(pages.len() > 20, "the pages are found: {}", pages.len());
    pages
}

/// The same, and the comments of shipped files.
pub(crate) fn pages_and_comments() -> Vec<Page> {
    let commented = COMMENTED.iter().flat_map(|directory| files(&root().join(directory)));
    let commented = commented.filter(|path| !path.extension().is_some_and(|end| end == "md" || end == "json"));
    pages().into_iter().chain(commented.map(|path| Page::read_comments(&path))).collect()
}

/// Files below a directory, sorted.
pub(crate) fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut entries: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    let (directories, files): (Vec<_>, Vec<_>) = entries.into_iter().partition(|path| path.is_dir());
    let is_ours = |path: &PathBuf| !PASSED_OVER.contains(&path.file_name().unwrap().to_str().unwrap());
    let below = directories.into_iter().filter(is_ours).flat_map(|path| self::files(&path));
    files.into_iter().chain(below).collect()
}

impl Page {
    fn read(path: &Path) -> Self {
        Self::parse(from_root(path), &std::fs::read_to_string(path).unwrap())
    }

    fn read_comments(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap();
        let comments = text.lines().map(|line| match line.strip_prefix('#') {
            Some(comment) if !comment.starts_with('!') => comment.strip_prefix(' ').unwrap_or(comment),
            _ => "",
        });
        Self::parse(from_root(path), &comments.collect::<Vec<_>>().join("\n"))
    }

    pub(crate) fn parse(path: String, text: &str) -> Self {
        let mut page = Self { path, blocks: vec![], spans: vec![], links: vec![], anchors: vec![] };
        let mut block: Option<Block> = None;
        let mut heading: Option<String> = None;
        let mut paragraph = Vec::new();
        for (event, range) in Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter() {
            let line = text[..range.start].matches('\n').count() + 1;
            let place = format!("{}:{line}", page.path);
            match event {
                Event::Start(Tag::CodeBlock(kind)) => {
                    let language = match kind {
                        CodeBlockKind::Fenced(language) => language.to_string(),
                        CodeBlockKind::Indented => String::new(),
                    };
                    block = Some(Block { place, language, text: String::new(), introduced_by: paragraph.clone() });
                }
                Event::End(TagEnd::CodeBlock) => page.blocks.extend(block.take()),
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => page.anchors.extend(heading.take().map(|text| anchor(&text))),
                Event::Start(Tag::Paragraph) => paragraph.clear(),
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    page.links.push((line, dest_url.to_string()));
                }
                Event::Text(text) => match (&mut block, &mut heading) {
                    (Some(block), _) => block.text += &text,
                    (None, Some(heading)) => *heading += &text,
                    (None, None) => {}
                },
                Event::Code(text) => {
                    if let Some(heading) = &mut heading {
                        *heading += &text;
                    }
                    paragraph.push(text.to_string());
                    page.spans.push(Span { place, text: text.to_string() });
                }
                _ => {}
            }
        }
        page
    }
}

fn from_root(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).to_str().unwrap().to_owned()
}

/// The name that GitHub gives a heading.
fn anchor(heading: &str) -> String {
    let kept =
        heading.trim().to_lowercase().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>();
    kept.replace(' ', "-")
}

#[test]
fn a_page_is_taken_apart() {
    let text = "# The `top` view\n\nSee [it](a.md#b), `x.hex`:\n\n    code\n    more\n\n- item\n\n      $ in a list\n\n```js\nlet x;\n```\n";
    let page = Page::parse("p.md".into(), text);
    assert_eq!(page.anchors, ["the-top-view"]);
    assert_eq!(page.links, [(3, "a.md#b".to_owned())]);
    let blocks: Vec<_> = page.blocks.iter().map(|block| (block.place.as_str(), block.text.as_str())).collect();
    assert_eq!(blocks, [("p.md:5", "code\nmore\n"), ("p.md:10", "$ in a list\n"), ("p.md:12", "let x;\n")]);
    assert_eq!(page.blocks[0].introduced_by, ["x.hex"]);
    assert_eq!(page.blocks[2].language, "js");
}
