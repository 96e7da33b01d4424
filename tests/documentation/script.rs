//! Scripts in the documentation: JavaScript is read by node, the reader of frames reads the golden samples, and what a
//! shell is given is read by `sh`.

use crate::bytes::sample;
use crate::checker::{checker, objection};
use crate::kind::{Kind, examples};
use serde_json::{Value, json};
use uproar_wire::frame::Frame;

/// Bytes before the archive of a message on a room's stream: length and kind.
const HEAD: usize = 5;
const FRAMES: [&str; 3] = ["frame_top8.hex", "frame_empty.hex", "frame_large.hex"];

#[test]
fn javascript_can_be_read() {
    let Some(mut node) = checker("node") else { return };
    let directory = tempfile::tempdir().unwrap();
    let of_pages = examples(Kind::Html).into_iter().map(|block| {
        let (_, script) = block.text.split_once("<script type=\"module\">").expect("a module");
        (block.place, script.split_once("</script>").expect("its end").0.to_owned())
    });
    let scripts = examples(Kind::JavaScript).into_iter().map(|block| (block.place, block.text));
    for (place, script) in scripts.chain(of_pages) {
        let file = directory.path().join(format!("{}.mjs", place.replace(['/', ':'], "_")));
        std::fs::write(&file, script).unwrap();
        let mut check = std::process::Command::new(node.get_program());
        assert_eq!(objection(check.arg("--check").arg(&file)), None, "{place}");
    }
    // And it would find what is wrong.
    let wrong = directory.path().join("wrong.mjs");
    std::fs::write(&wrong, "const = 1;").unwrap();
    assert!(objection(node.arg("--check").arg(&wrong)).is_some());
}

#[test]
fn the_reader_of_frames_reads_the_golden_samples() {
    let Some(mut node) = checker("node") else { return };
    let scripts = examples(Kind::JavaScript);
    let reader = scripts.iter().find(|block| block.text.contains("function readFrame(")).expect("readFrame");
    let archives: Vec<_> = FRAMES.iter().map(|name| sample(name).split_off(HEAD)).collect();
    let script = format!(
        "{}\nfor (const bytes of {}) {{\n  const frame = readFrame(new DataView(Uint8Array.from(bytes).buffer));\n  \
         console.log(JSON.stringify(frame, (_, value) => (typeof value === \"bigint\" ? `${{value}}` : value)));\n}}\n",
        reader.text,
        serde_json::to_string(&archives).unwrap()
    );
    let output = node.args(["--input-type=module", "--eval", &script]).output().unwrap();
    assert!(output.status.success(), "{}: {}", reader.place, String::from_utf8_lossy(&output.stderr));
    let read: Vec<Value> =
        output.stdout.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
    let expected: Vec<_> = archives.iter().map(|archive| as_json(&Frame::decode(archive).unwrap())).collect();
    assert_eq!(read, expected, "{}", reader.place);
}

/// A frame as `readFrame` gives it, integers of 64 bits as text.
fn as_json(frame: &Frame) -> Value {
    let top = frame.top.iter().map(|entry| {
        json!({ "count": entry.count.to_string(), "emoji": entry.emoji, "share": entry.share, "intensity": entry.intensity })
    });
    json!({
        "room": frame.room, "windowMs": frame.window_ms, "window": frame.window.to_string(),
        "startMs": frame.start_ms.to_string(), "total": frame.total.to_string(), "intensity": frame.intensity,
        "top": top.collect::<Vec<_>>(),
    })
}

#[test]
fn commands_can_be_read_by_a_shell() {
    for block in examples(Kind::Commands) {
        // What stands for a word of the reader's own is not for the shell.
        let text = block.text.replace(" ...", "");
        assert_eq!(objection(std::process::Command::new("sh").args(["-n", "-c", &text])), None, "{}", block.place);
    }
    assert!(objection(std::process::Command::new("sh").args(["-n", "-c", "echo 'a"])).is_some());
}
