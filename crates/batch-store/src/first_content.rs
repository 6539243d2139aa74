//! The fingerprints that the first version wrote, by which old files are still found: [`first_fingerprint`] in batch
//! files, [`first_key_name`] as names in the folder `keys`. Nothing new is written with them.

use batch_core::TaskSpec;

/// The fingerprint of the tasks of a key as batch files of the first identity keep it: of their text as it was written.
pub fn first_fingerprint<'t>(tasks: impl IntoIterator<Item = &'t TaskSpec>) -> String {
    let all = tasks.into_iter().fold(Fnv::START, |all, task| {
        let start = Fnv::START
            .with(task.function.as_bytes())
            .with(task.params.as_str().as_bytes())
            .with(task.id.as_deref().unwrap_or_default().as_bytes());
        let whole = task.depends_on.iter().fold(start, |hash, needed| {
            hash.with(&Fnv::of_name(&needed.task).0.to_le_bytes())
        });
        all.with(&whole.0.to_le_bytes())
    });
    all.text()
}

/// The name of the file that the first version kept a key in.
pub fn first_key_name(key: &str) -> String {
    Fnv::of_name(key).text()
}

/// FNV-1a, 128 bits.
#[derive(Clone, Copy)]
struct Fnv(u128);

impl Fnv {
    const START: Self = Self(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d);
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;

    /// Over a part and its length, so that parts cannot run into each other.
    fn with(self, part: &[u8]) -> Self {
        let length = (part.len() as u64).to_le_bytes();
        let step = |hash: u128, byte: &u8| (hash ^ u128::from(*byte)).wrapping_mul(Self::PRIME);
        Self(part.iter().chain(&length).fold(self.0, step))
    }

    /// As of a task of that function with no parameters and no id.
    fn of_name(name: &str) -> Self {
        Self::START.with(name.as_bytes()).with(b"{}").with(b"")
    }

    fn text(self) -> String {
        format!("{:032x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use batch_core::Json;

    use super::*;

    #[test]
    fn they_are_what_the_first_version_wrote() {
        assert_eq!(first_key_name("x"), "1762d58f44cb4dd9c1aadf495dab7d34");
        let task = |function: &str, params: &str| TaskSpec {
            params: Json::parse(params).unwrap(),
            ..TaskSpec::new(function)
        };
        // As in the file of that version with which the built binary is tested.
        let tasks = [
            task("shell", r#"{"script":"echo ran"}"#).with_id("p"),
            task("command", r#"{"argv":["true"]}"#).after("p"),
            task("simulate", r#"{"duration": 0.0, "fail": false}"#),
        ];
        assert_eq!(
            first_fingerprint(&tasks),
            "10a1d39f31a3ae307c5792a45d9c4829"
        );
    }
}
