//! Variables of the environment: which knobs they set, and which names nobody knows.
//!
//! An empty variable is not set. Invariant: every variable that begins with `UPROAR_` either sets a knob, names the
//! configuration file, is one that Kubernetes makes for a service, or is named in a warning.

use super::doubt::Doubt;
use super::error::{ConfigError, Origin};
use super::knob::KNOBS;
use super::suggest::did_you_mean;
use super::{Config, Origins};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

/// Begins every name.
const PREFIX: &[u8] = b"UPROAR_";
/// Names the configuration file of `uproar serve`.
pub const CONFIG_VARIABLE: &str = "UPROAR_CONFIG";

/// The variables of one start that are for this program, by name.
#[derive(Clone, Default, Debug)]
pub(super) struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    /// Those of `variables` that have a value.
    pub(super) fn of(variables: impl Iterator<Item = (OsString, OsString)>) -> Self {
        let ours = variables.filter(|(name, value)| name.as_bytes().starts_with(PREFIX) && !value.is_empty());
        Self(ours.collect())
    }

    /// Puts every value in its place, and returns a doubt for each name that nobody knows.
    pub(super) fn read_into(&self, config: &mut Config, origins: &mut Origins) -> Result<Vec<Doubt>, ConfigError> {
        for knob in &KNOBS {
            let name = knob.variable();
            let Some(value) = self.0.get(OsStr::new(&name)) else { continue };
            let origin = Origin::Environment(name);
            let Some(text) = value.to_str() else { return Err(ConfigError::NotText { origin }) };
            config.set(knob, text, origin, origins)?;
        }
        let known: Vec<_> = KNOBS.iter().map(super::knob::Knob::variable).chain([CONFIG_VARIABLE.into()]).collect();
        let unknown = self.0.iter().filter(|(name, value)| {
            let is_known = known.iter().any(|known| **name == **known);
            !is_known && !is_of_kubernetes(&name.to_string_lossy(), &value.to_string_lossy())
        });
        Ok(unknown.map(|(name, _)| unknown_variable(&name.to_string_lossy(), &known)).collect())
    }
}

fn unknown_variable(name: &str, known: &[String]) -> Doubt {
    let meant = did_you_mean(name, known.iter().map(String::as_str));
    Doubt {
        check: "environment",
        found: format!("environment variable {name} sets nothing, as no key has that name{meant}"),
        remedy: "unset it, or take a name that `uproar config default` lists".into(),
    }
}

/// Whether Kubernetes makes such a variable for a service whose name begins with `uproar` (Service, "Environment variables").
fn is_of_kubernetes(name: &str, value: &str) -> bool {
    if ["_SERVICE_HOST", "_SERVICE_PORT"].iter().any(|end| name.ends_with(end)) || name.contains("_SERVICE_PORT_") {
        return true;
    }
    // UPROAR_PORT=tcp://10.0.0.1:8080, and for each port UPROAR_PORT_8080_TCP with _PROTO, _PORT and _ADDR.
    let is_address = ["tcp", "udp", "sctp"].iter().any(|proto| value.starts_with(&format!("{proto}://")));
    let of_a_port = name.match_indices("_PORT_").any(|(at, port)| is_port(&name[at + port.len()..]));
    of_a_port || (name.ends_with("_PORT") && is_address)
}

/// `8080_TCP`, perhaps with `_PROTO`, `_PORT` or `_ADDR`.
fn is_port(text: &str) -> bool {
    let mut parts = text.split('_');
    let number = parts.next().is_some_and(|number| number.parse::<u16>().is_ok());
    let proto = parts.next().is_some_and(|proto| ["TCP", "UDP", "SCTP"].contains(&proto));
    let end = parts.next().is_none_or(|end| ["PROTO", "PORT", "ADDR"].contains(&end));
    number && proto && end && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStringExt as _;
    use std::time::Duration;

    /// The configuration that variables lead to, and what is said of them.
    fn read(variables: &[(&str, &str)]) -> Result<(Config, Vec<String>), ConfigError> {
        let variables = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let (mut config, mut origins) = (Config::default(), Origins::default());
        let doubts = Environment::of(variables).read_into(&mut config, &mut origins)?;
        Ok((config, doubts.into_iter().map(|doubt| doubt.found).collect()))
    }

    #[test]
    fn a_name_that_nobody_knows_is_named_with_the_one_that_was_meant() {
        let (config, said) = read(&[("UPROAR_WINDOWS", "1s"), ("UPROAR_TOPK", "3"), ("UPROAR_KAFKA", "x")]).unwrap();
        assert_eq!((config, said.len()), (Config::default(), 3));
        assert!(said[0].contains("UPROAR_KAFKA sets nothing") && !said[0].contains("did you mean"), "{said:?}");
        assert!(said[1].contains("UPROAR_TOPK") && said[1].ends_with("did you mean UPROAR_TOP_K?"), "{said:?}");
        assert!(said[2].contains("UPROAR_WINDOWS") && said[2].ends_with("did you mean UPROAR_WINDOW?"), "{said:?}");
    }

    #[test]
    fn an_empty_variable_is_not_set_whichever_it_is() {
        let names: Vec<_> =
            KNOBS.iter().map(super::super::knob::Knob::variable).chain(["UPROAR_CONFIG".into()]).collect();
        let empty: Vec<_> = names.iter().map(|name| (name.as_str(), "")).chain([("UPROAR_NOBODY", "")]).collect();
        assert_eq!(read(&empty).unwrap(), (Config::default(), Vec::new()));
        let (config, _) = read(&[("UPROAR_WINDOW", "5s"), ("UPROAR_SHARDS", "")]).unwrap();
        assert_eq!((config.window, config.shards), (Duration::from_secs(5), None));
    }

    #[test]
    fn a_value_that_is_not_text_is_refused_by_the_name_of_its_variable() {
        let variables = [(OsString::from("UPROAR_WINDOW"), OsString::from_vec(b"2s\xff".to_vec()))];
        let environment = Environment::of(variables.into_iter());
        let refusal = environment.read_into(&mut Config::default(), &mut Origins::default()).unwrap_err().to_string();
        assert!(refusal.contains("environment variable UPROAR_WINDOW") && refusal.contains("UTF-8"), "{refusal}");
        let odd = [(OsString::from_vec(b"UPROAR_\xff".to_vec()), OsString::from_vec(b"\xff".to_vec()))];
        let doubts = Environment::of(odd.into_iter()).read_into(&mut Config::default(), &mut Origins::default());
        assert_eq!(doubts.unwrap().len(), 1, "a name is named as far as it can be");
    }

    #[test]
    fn variables_that_kubernetes_makes_for_services_are_left_alone() {
        for service in ["UPROAR", "UPROAR_QUIC", "UPROAR_HTTP_IDLE_TIMEOUT"] {
            for (end, value) in [
                ("_SERVICE_HOST", "10.0.0.1"),
                ("_SERVICE_PORT", "7400"),
                ("_SERVICE_PORT_HTTP", "8080"),
                ("_SERVICE_PORT_REACTIONS_UDP", "7400"),
                ("_PORT", "tcp://10.0.0.1:8080"),
                ("_PORT", "udp://10.0.0.1:7400"),
                ("_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
                ("_PORT_7400_UDP", "udp://10.0.0.1:7400"),
                ("_PORT_7400_UDP_PROTO", "udp"),
                ("_PORT_7400_UDP_PORT", "7400"),
                ("_PORT_7400_UDP_ADDR", "10.0.0.1"),
                ("_PORT_9_SCTP_ADDR", "fd00::1"),
            ] {
                let name = format!("{service}{end}");
                assert_eq!(read(&[(&name, value)]).unwrap(), (Config::default(), Vec::new()), "{name}={value}");
            }
        }
        for (name, value) in [
            ("UPROAR_PORT", "7400"),
            ("UPROAR_PORT_HTTP", "8080"),
            ("UPROAR_PORT_99999_TCP", "1"),
            ("UPROAR_PORT_80_TCP_HOST", "1"),
            ("UPROAR_HTTP_PORT", "8080"),
        ] {
            assert_eq!(read(&[(name, value)]).unwrap().1.len(), 1, "{name}={value} is a mistake");
        }
    }
}
