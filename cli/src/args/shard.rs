//! `--shard I/N`: the part of the inputs that one of several processes works on.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// One of the shards that inputs are divided into.
///
/// The inputs are divided by groups, whose maps share batches: another division would change the rounding of maps.
/// Group `g`, counted from 0, belongs to shard `1 + g mod N`, so that the images of sorted folders are spread over all
/// shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// The number of the shard, counted from 1.
    number: usize,
    /// The number of shards.
    count: usize,
}

impl Shard {
    /// Returns all of `count` shards.
    pub fn all(count: usize) -> impl Iterator<Item = Self> {
        (1..=count).map(move |number| Self { number, count })
    }

    /// Returns the number of this shard, counted from 1.
    pub fn number(self) -> usize {
        self.number
    }

    /// Returns the number of shards.
    pub fn count(self) -> usize {
        self.count
    }

    /// Returns the index in the whole of the group with the index `own` in this shard.
    pub fn group(self, own: usize) -> usize {
        own * self.count + self.number - 1
    }

    /// Returns the groups of this shard.
    pub fn of<T>(self, groups: impl Iterator<Item = T>) -> impl Iterator<Item = T> {
        groups.skip(self.number - 1).step_by(self.count)
    }

    /// Returns the folder of the results of this shard of an evaluation, below its output folder.
    pub fn folder(self, out: &Path) -> PathBuf {
        Self::parent(out).join(format!("{}-of-{}", self.number, self.count))
    }

    /// Returns the folder that contains the folders of all shards.
    pub fn parent(out: &Path) -> PathBuf {
        out.join("shards")
    }

    /// Returns the shard whose results a folder called `name` holds.
    pub fn of_folder(name: &str) -> Option<Self> {
        let (number, count) = name.split_once("-of-")?;
        let shard = Self { number: number.parse().ok()?, count: count.parse().ok()? };
        (1..=shard.count).contains(&shard.number).then_some(shard)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "{}/{}", self.number, self.count)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = |text: &str| text.parse::<usize>().ok();
        let parts = text.split_once('/');
        match parts.map(|(number, count)| (parse(number), parse(count))) {
            Some((_, Some(0))) => Err("there must be at least 1 shard".into()),
            Some((Some(number), Some(count))) if (1..=count).contains(&number) => {
                Ok(Self { number, count })
            }
            Some((Some(number), Some(count))) => Err(format!(
                "there is no shard {number} of {count}; shards are counted from 1 to {count}"
            )),
            _ => Err("write I/N, such as 1/8 for the first of 8 shards".into()),
        }
    }
}

/// Puts the items of all shards in the order of the whole. The groups of the whole have these `sizes`.
pub fn join<T>(shards: Vec<Vec<T>>, sizes: impl Iterator<Item = usize>) -> Vec<T> {
    let count = shards.len();
    let mut shards: Vec<_> = shards.into_iter().map(Vec::into_iter).collect();
    let mut whole = Vec::new();
    for (group, size) in sizes.enumerate() {
        whole.extend(shards[group % count].by_ref().take(size));
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_shards_are_the_whole() {
        let items: Vec<usize> = (0..23).collect();
        for size in [1, 4, 16, 30] {
            for count in [1, 3, 7, 40] {
                let shards: Vec<Vec<usize>> = Shard::all(count)
                    .map(|shard| shard.of(items.chunks(size)).flatten().copied().collect())
                    .collect();
                let sizes = items.chunks(size).map(<[usize]>::len);
                assert_eq!(join(shards, sizes), items, "{count} shards of groups of {size}");
            }
        }
        let second: Shard = "2/3".parse().expect("a shard");
        assert_eq!(second.of(items.chunks(5)).collect::<Vec<_>>(), [&items[5..10], &items[20..]]);
    }

    #[test]
    fn shards_are_named_by_text_and_folder() {
        let shard: Shard = "3/8".parse().expect("a shard");
        let folder = shard.folder(Path::new("out"));
        assert_eq!((shard.to_string(), folder), ("3/8".into(), "out/shards/3-of-8".into()));
        assert_eq!(Shard::of_folder("3-of-8"), Some(shard));
        for (text, expected) in [
            ("", "write I/N"),
            ("3", "write I/N"),
            ("-1/3", "write I/N"),
            ("1/3/3", "write I/N"),
            ("a/b", "write I/N"),
            ("1/0", "at least 1 shard"),
            ("0/3", "there is no shard 0 of 3"),
            ("4/3", "there is no shard 4 of 3; shards are counted from 1 to 3"),
        ] {
            let message = text.parse::<Shard>().expect_err(text);
            assert!(message.contains(expected), "{text}: {message}");
        }
        for name in ["0-of-3", "4-of-3", "1-of", "1", "a-of-3"] {
            assert_eq!(Shard::of_folder(name), None, "{name}");
        }
    }
}
