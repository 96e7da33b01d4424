//! What a profile wants of a machine that no file can set: it is named with its command, and left to the operator.
//!
//! Invariant: what is named here is neither checked, nor applied, nor reverted by the program. Not here: the script of
//! [`super::script`], which asks `ethtool` itself.

use super::profile::Profile;
use super::queues::Interface;

/// One thing that is left to the operator.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Left {
    /// What it is.
    pub name: String,
    /// Why it is wanted.
    pub reason: &'static str,
    /// What to type, as root.
    pub remedy: String,
    /// What to type to undo it.
    pub undo: String,
}

/// The hash of UDP flows on ports, where the profile wants it and the interface has several queues to spread over.
pub fn hash_on_ports(profile: Profile, interface: Option<&Interface>) -> Option<Left> {
    let interface = interface.filter(|interface| interface.has_device && interface.receive_queues > 1)?;
    let typed = |fields| {
        let of = |flow| format!("ethtool -N {} rx-flow-hash {flow} {fields}", interface.name);
        format!("{}; {}", of("udp4"), of("udp6"))
    };
    profile.wants_hash_on_ports().then(|| Left {
        name: format!("the hash of {} on ports", interface.name),
        reason: "Without ports in the hash all taps of one proxy meet in one queue; only ethtool tells and sets it.",
        remedy: typed("sdfn"),
        undo: typed("sd"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_several_queues_have_something_to_spread() {
        let of = |profile, has_device, receive_queues| {
            hash_on_ports(profile, Some(&Interface { name: "eth0".into(), has_device, receive_queues }))
        };
        let left = of(Profile::Edge, true, 2).unwrap();
        assert_eq!(left.remedy, "ethtool -N eth0 rx-flow-hash udp4 sdfn; ethtool -N eth0 rx-flow-hash udp6 sdfn");
        assert_eq!(of(Profile::Edge, true, 1), None);
        assert_eq!(of(Profile::Edge, false, 2), None);
        assert_eq!(of(Profile::Dev, true, 2), None);
        assert_eq!(hash_on_ports(Profile::Edge, None), None);
    }
}
