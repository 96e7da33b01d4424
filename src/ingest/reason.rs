//! The shape that all enums of reasons share: every variant has an index for a table of counters and a label for the
//! metric.
//!
//! Invariant: `ALL[r.index()] == r`, and the label is the variant's name in snake case (checked by the tests of each
//! enum). Not here: the counters.

/// Declares an enum of reasons with `ALL`, `index()` and `label()`.
macro_rules! reasons {
    (
        $(#[$meta:meta])*
        pub enum $name:ident { $($(#[$doc:meta])* $variant:ident => $label:literal,)+ }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl $name {
            /// Every reason, in the order of [`Self::index`].
            pub const ALL: [Self; [$($label),+].len()] = [$(Self::$variant),+];

            /// Its place in [`Self::ALL`] and in a table of counters.
            pub const fn index(self) -> usize {
                self as usize
            }

            /// Its name in metrics and in replies.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)+ }
            }
        }
    };
}

/// Declares an enum of reasons that are also answered: with `status()` and `detail()` besides those of [`reasons!`].
/// The detail is the variant's documentation.
macro_rules! answered_reasons {
    (
        $(#[$meta:meta])*
        pub enum $name:ident { $($variant:ident => $label:literal, $status:literal, $detail:literal;)+ }
    ) => {
        $crate::ingest::reason::reasons! {
            $(#[$meta])*
            pub enum $name { $(#[doc = $detail] $variant => $label,)+ }
        }

        impl $name {
            /// HTTP status code of the reply.
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)+ }
            }

            /// One sentence for the person who reads the reply.
            pub const fn detail(self) -> &'static str {
                match self { $(Self::$variant => $detail,)+ }
            }
        }
    };
}

pub(crate) use answered_reasons;
pub(crate) use reasons;

/// The name of a variant, as `Debug` writes it, in snake case.
#[cfg(test)]
pub(crate) fn snake_case(variant: &str) -> String {
    let mut snake = String::new();
    for (at, letter) in variant.char_indices() {
        if letter.is_ascii_uppercase() && at > 0 {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

/// Asserts the invariant of this file for one enum.
#[cfg(test)]
macro_rules! assert_reasons {
    ($name:ty) => {
        for (at, reason) in <$name>::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), at);
            assert_eq!(reason.label(), $crate::ingest::reason::snake_case(&format!("{reason:?}")));
        }
    };
}
#[cfg(test)]
pub(crate) use assert_reasons;
