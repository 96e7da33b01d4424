//! The profiles: what machines of each kind should be set to, and why.
//!
//! Invariant: the files in `tuning/` are the only source; each setting carries the comment above it as its reason. Not
//! here: whether a value is good enough ([`super::rule`]).

use std::fmt;
use std::str::FromStr;

/// A kind of machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Profile {
    /// Takes taps by HTTP and UDP.
    Edge,
    /// Sends frames to many subscribers.
    Fanout,
    /// Plays crowds.
    Loadgen,
    /// A laptop or a small node.
    Dev,
}

/// One line of a file: a name, its value, and the comment above it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Setting {
    /// What is set: a sysctl's name with dots, or the path of a file.
    pub name: String,
    /// The value, with single spaces between its fields.
    pub value: String,
    /// Why, in the words of the file.
    pub reason: String,
}

/// A line that is no setting.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {line}: expected `name = value`, got {text:?}")]
pub struct ParseError {
    /// Counted from 1.
    pub line: usize,
    /// What stands there.
    pub text: String,
}

impl Profile {
    /// Every profile, in the order in which help texts name them.
    pub const ALL: [Self; 4] = [Self::Edge, Self::Fanout, Self::Loadgen, Self::Dev];

    /// As the command line and the files call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Edge => "edge",
            Self::Fanout => "fanout",
            Self::Loadgen => "loadgen",
            Self::Dev => "dev",
        }
    }

    /// The text of its sysctl.d file.
    pub fn sysctl_file(self) -> &'static str {
        match self {
            Self::Edge => include_str!("../../tuning/edge.conf"),
            Self::Fanout => include_str!("../../tuning/fanout.conf"),
            Self::Loadgen => include_str!("../../tuning/loadgen.conf"),
            Self::Dev => include_str!("../../tuning/dev.conf"),
        }
    }

    /// The text of its file of devices.
    pub fn device_file(self) -> &'static str {
        match self {
            Self::Edge => include_str!("../../tuning/edge.devices"),
            Self::Fanout => include_str!("../../tuning/fanout.devices"),
            Self::Loadgen => include_str!("../../tuning/loadgen.devices"),
            Self::Dev => include_str!("../../tuning/dev.devices"),
        }
    }

    /// Whether its machines should spread flows over queues by ports, which only `ethtool` can set.
    pub fn wants_hash_on_ports(self) -> bool {
        !matches!(self, Self::Dev)
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Profile {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = || Self::ALL.map(Self::name).join(", ");
        Self::ALL
            .into_iter()
            .find(|profile| profile.name() == name)
            .ok_or_else(|| format!("no such profile; there are {}", known()))
    }
}

/// The settings of a file: `name = value` with comments, as sysctl.d(5) has it.
///
/// # Errors
/// The first line that is neither a setting, nor a comment, nor empty.
pub fn parse(text: &str) -> Result<Vec<Setting>, ParseError> {
    let mut settings = Vec::new();
    let mut reason = String::new();
    for (line, text) in (1..).zip(text.lines()) {
        let text = text.trim();
        if text.is_empty() {
            reason.clear();
        } else if let Some(comment) = text.strip_prefix(['#', ';']) {
            if !reason.is_empty() {
                reason.push(' ');
            }
            reason.push_str(comment.trim());
        } else {
            let wrong = || ParseError { line, text: text.to_owned() };
            let (name, value) = text.split_once('=').ok_or_else(wrong)?;
            // sysctl.d's "ignore if it cannot be set": here a name that the kernel lacks is never an error.
            let name = name.trim().trim_start_matches('-');
            let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
            if name.is_empty() || value.is_empty() {
                return Err(wrong());
            }
            settings.push(Setting { name: name.to_owned(), value, reason: reason.clone() });
        }
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_comment_above_a_setting_is_its_reason() {
        let text = "# Of the file.\n\n# Two\n# lines.\nnet.a = 1\t 2\n\n-kernel.b=x\n; semicolon\nfs.c = 3\n";
        let setting = |name: &str, value: &str, reason: &str| Setting {
            name: name.into(),
            value: value.into(),
            reason: reason.into(),
        };
        let expected =
            [setting("net.a", "1 2", "Two lines."), setting("kernel.b", "x", ""), setting("fs.c", "3", "semicolon")];
        assert_eq!(parse(text).unwrap(), expected);
    }

    #[test]
    fn a_line_that_sets_nothing_is_an_error_with_its_number() {
        for wrong in ["net.core.rmem_max 1", "= 1", "net.core.rmem_max =", "-= 1"] {
            let error = parse(&format!("# a\n\n{wrong}\n")).unwrap_err();
            assert_eq!(error, ParseError { line: 3, text: wrong.to_owned() });
        }
    }

    #[test]
    fn every_setting_of_every_profile_has_a_reason_and_stands_once() {
        for profile in Profile::ALL {
            for file in [profile.sysctl_file(), profile.device_file()] {
                let settings = parse(file).unwrap_or_else(|error| panic!("{profile}: {error}"));
                for (at, setting) in settings.iter().enumerate() {
                    assert!(!setting.reason.is_empty(), "{profile}: {}", setting.name);
                    assert!(
                        settings[..at].iter().all(|other| other.name != setting.name),
                        "{profile}: {}",
                        setting.name
                    );
                }
            }
        }
    }

    #[test]
    fn a_profile_is_known_by_its_name() {
        for profile in Profile::ALL {
            assert_eq!(profile.name().parse(), Ok(profile));
        }
        let error = "laptop".parse::<Profile>().unwrap_err();
        assert!(error.contains("edge, fanout, loadgen, dev"), "{error}");
    }
}
