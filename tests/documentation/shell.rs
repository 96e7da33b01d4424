//! As much of a shell's grammar as the examples use: lines that go on, quotes, comments, and what joins commands.

/// What ends one command and begins another. What a redirection names is a file, and no command.
const JOINTS: [&str; 5] = ["&&", "||", "|", ";", "&"];
/// Put before a command by those who may not do what it does, and what names an account for it.
const SUDO: &str = "sudo";
const ACCOUNT: &str = "-u";

/// Whole commands of a block, lines that end with a backslash or within quotes joined.
pub(crate) fn lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut goes_on = false;
    for line in text.lines() {
        match lines.last_mut().filter(|_| goes_on) {
            Some(last) => *last += &format!("\n{line}"),
            None if line.trim().is_empty() => continue,
            None => lines.push(line.to_owned()),
        }
        let last = lines.last().unwrap();
        // A pipe at the end wants what comes next, too.
        goes_on = last.ends_with('\\') || last.ends_with('|') || words(last).is_none();
    }
    lines
}

/// The words of each simple command in a line, without redirections, `sudo` and assignments. None where a quote is open.
pub(crate) fn commands(line: &str) -> Option<Vec<Vec<String>>> {
    let mut commands = vec![Vec::new()];
    let mut words = words(line)?.into_iter();
    while let Some((word, quoted)) = words.next() {
        if !quoted && JOINTS.contains(&word.as_str()) {
            commands.push(Vec::new());
        } else if !quoted && [">", ">>", "<"].contains(&word.as_str()) {
            words.next();
        } else {
            commands.last_mut().unwrap().push(word);
        }
    }
    for command in &mut commands {
        let is_set = |word: &String| word.split_once('=').is_some_and(|(name, _)| is_variable(name));
        while command.first().is_some_and(|word| word == SUDO || is_set(word)) {
            let has_account = command[0] == SUDO && command.get(1).is_some_and(|word| word == ACCOUNT);
            command.drain(..if has_account { 3.min(command.len()) } else { 1 });
        }
    }
    commands.retain(|command| !command.is_empty());
    Some(commands)
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

/// Words of a line, and whether any of each was quoted; comments are left out.
fn words(line: &str) -> Option<Vec<(String, bool)>> {
    let mut words: Vec<(String, bool)> = Vec::new();
    let mut is_within = false;
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\'' | '"' => {
                let mut text = String::new();
                loop {
                    match rest.next()? {
                        end if end == c => break,
                        '\\' if c == '"' => text.push(rest.next()?),
                        inner => text.push(inner),
                    }
                }
                grow(&mut words, &mut is_within, &text).1 = true;
            }
            '\\' => match rest.next() {
                Some('\n') | None => is_within = false,
                Some(c) => drop(grow(&mut words, &mut is_within, &c.to_string())),
            },
            '#' if !is_within => {
                while rest.peek().is_some_and(|c| *c != '\n') {
                    rest.next();
                }
            }
            c if c.is_whitespace() => is_within = false,
            '|' | '&' | ';' | '>' | '<' => {
                let mut joint = c.to_string();
                while c != ';' && rest.peek() == Some(&c) {
                    joint.extend(rest.next());
                }
                words.push((joint, false));
                is_within = false;
            }
            c => drop(grow(&mut words, &mut is_within, &c.to_string())),
        }
    }
    Some(words)
}

fn grow<'a>(words: &'a mut Vec<(String, bool)>, is_within: &mut bool, text: &str) -> &'a mut (String, bool) {
    if !std::mem::replace(is_within, true) {
        words.push((String::new(), false));
    }
    let word = words.last_mut().unwrap();
    word.0 += text;
    word
}

#[test]
fn a_block_falls_into_commands() {
    let text = "a 'b c' \"d\" # not\n\nsudo e \\\n  -f >out && X=1 sudo -u y g | h\ni -d 'j\nk'\n";
    let lines = lines(text);
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert_eq!(commands(&lines[0]).unwrap(), [vec!["a", "b c", "d"]]);
    assert_eq!(commands(&lines[1]).unwrap(), [vec!["e", "-f"], vec!["g"], vec!["h"]]);
    assert_eq!(commands(&lines[2]).unwrap(), [vec!["i", "-d", "j\nk"]]);
}
