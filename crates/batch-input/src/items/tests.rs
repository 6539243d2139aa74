//! Items of one source and of several.

use super::*;
use std::io::{BufReader, Cursor};

/// Items and messages, read through a buffer of three bytes.
fn read(mut items: Items) -> Vec<String> {
    let mut found = Vec::new();
    let mut row = Row::default();
    while let Some(next) = items.next_row(&mut row) {
        let values: Vec<_> = row.values().map(String::from_utf8_lossy).collect();
        found.push(match next {
            Ok(()) => values.join("|"),
            Err(error) => format!("! {error}"),
        });
        row.clear();
    }
    found
}

fn bytes(text: impl Into<Vec<u8>>) -> impl BufRead + Send + 'static {
    BufReader::with_capacity(3, Cursor::new(text.into()))
}

#[test]
fn lines_are_taken_as_they_are() {
    assert_eq!(
        read(Items::lines(bytes("a b\n\n 'q\\\n\r\nlast\r"))),
        ["a b", " 'q\\", "\r", "last\r"]
    );
    assert_eq!(read(Items::lines(bytes("x\n"))), ["x"]);
    assert_eq!(read(Items::lines(bytes(""))), [""; 0]);
}

#[test]
fn records_and_lists_may_be_empty() {
    assert_eq!(
        read(Items::nul_separated(bytes("a\nb\0\0c"))),
        ["a\nb", "", "c"]
    );
    assert_eq!(read(Items::list(vec!["".into(), "b".into()])), ["", "b"]);
}

#[test]
fn what_no_argument_can_hold_is_refused_with_its_line() {
    let mut text = b"ok\n\n".to_vec();
    text.extend(vec![b'x'; MAX_ARGUMENT]);
    text.push(b'\n');
    text.extend(vec![b'y'; MAX_ARGUMENT + 1]);
    text.extend(b"\na\0b\nend");
    let found = read(Items::lines(bytes(text)));
    assert_eq!(found.len(), 5);
    assert_eq!(found[1].len(), MAX_ARGUMENT);
    assert!(
        found[2].starts_with("! line 4: it makes an argument of 131072 bytes"),
        "{}",
        found[2]
    );
    assert!(
        found[3].starts_with("! line 5: it holds a NUL byte"),
        "{}",
        found[3]
    );
    assert_eq!(found[4], "end");
}

fn list(items: &str) -> ItemSource {
    ItemSource::list(items.split(' ').map(Into::into).collect())
}

fn product(groups: Vec<Vec<ItemSource>>, options: ItemOptions) -> Vec<String> {
    read(Items::product(groups, options).unwrap())
}

#[test]
fn sources_are_multiplied_and_zipped() {
    let plain = ItemOptions::default();
    assert_eq!(
        product(
            vec![vec![list("a b")], vec![list("1 2"), list("x y")]],
            plain.clone()
        ),
        ["a|1|x", "a|2|y", "b|1|x", "b|2|y"]
    );
    let lines = ItemSource::lines(bytes("p\n\nq\n"));
    assert_eq!(
        product(
            vec![vec![lines], vec![list("1 2")], vec![list("x")]],
            plain.clone()
        ),
        ["p|1|x", "p|2|x", "q|1|x", "q|2|x"]
    );
    let empty = || ItemSource::list(Vec::new());
    for groups in [
        vec![vec![list("a b")], vec![empty()]],
        vec![vec![empty()], vec![list("a b")]],
    ] {
        assert_eq!(product(groups, plain.clone()), [""; 0]);
    }
}

#[test]
fn what_is_zipped_has_one_length() {
    let plain = ItemOptions::default;
    let uneven = Items::product(vec![vec![list("a b"), list("1")]], plain())
        .err()
        .unwrap();
    assert!(
        uneven
            .to_string()
            .starts_with("source 1 has 2, source 2 has 1"),
        "{uneven}"
    );
    let lines = |text: &'static str| ItemSource::lines(bytes(text)).named("f");
    let longer = product(vec![vec![list("a b"), lines("1\n2\n3\n")]], plain());
    assert_eq!(longer[..2], ["a|1", "b|2"]);
    assert!(
        longer[2].starts_with("! f: line 3: there is no item for it in source 1"),
        "{longer:?}"
    );
    let shorter = product(vec![vec![list("a b"), lines("1\n")]], plain());
    assert!(
        shorter[1].starts_with("! source 1: item 2: there is no item for it in f"),
        "{shorter:?}"
    );
    let blank = product(vec![vec![list("a b"), lines("1\n\n2\n")]], plain());
    assert!(
        blank[1].starts_with("! f: line 2: it is empty"),
        "{blank:?}"
    );
}

#[test]
fn items_are_split_into_columns() {
    let table = |separator: &str| ItemOptions {
        separator: Some(separator.parse().unwrap()),
        ..ItemOptions::default()
    };
    let read = |text: &'static str, separator: &str| {
        product(vec![vec![ItemSource::lines(bytes(text))]], table(separator))
    };
    assert_eq!(read("\u{feff}a\tb c\r\n\nd\n", "tab"), ["a|b c", "d"]);
    assert_eq!(
        read("\"a\n\n\"\"b\"\"\",c\nd,e", "comma"),
        ["a\n\n\"b\"|c", "d|e"]
    );
    assert_eq!(read("a  b\n", " +"), ["a|b"]);
    let open = read("x,y\na,\"b\nc\n", "comma");
    assert!(
        open[1].starts_with("! line 2: the double quote"),
        "{open:?}"
    );
    let groups = vec![vec![list("a,b c,d")], vec![list("1 2")]];
    assert_eq!(
        product(groups, table(",")),
        ["a|b|1", "a|b|2", "c|d|1", "c|d|2"]
    );
    let ragged = product(vec![vec![list("a,b c")], vec![list("1")]], table(","));
    assert!(
        ragged[1].contains("it has 1 columns, and 2 are expected"),
        "{ragged:?}"
    );
}

#[test]
fn sources_begin_with_names() {
    let named = || ItemOptions {
        header: true,
        ..ItemOptions::default()
    };
    let groups = || {
        vec![
            vec![list("lr 1 2")],
            vec![list("seed=7 8"), list("tag= x y")],
        ]
    };
    let mut items = Items::product(groups(), named()).unwrap();
    let columns = format!("{:?}", items.columns().unwrap().unwrap());
    assert!(columns.contains("[\"lr\", \"seed\", \"tag\"]"), "{columns}");
    assert_eq!(read(items), ["1|7|x", "1|8|y", "2|7|x", "2|8|y"]);
    let mut twice = Items::product(vec![vec![list("a 1")], vec![list("a 2")]], named()).unwrap();
    assert!(twice.columns().unwrap().is_err());
    let mut none = Items::product(vec![vec![ItemSource::lines(bytes(""))]], named()).unwrap();
    assert!(none.columns().is_none());
    let tab = ItemOptions {
        separator: Some("tab".parse().unwrap()),
        ..named()
    };
    let table = vec![vec![ItemSource::lines(bytes("a\tb\n1\t2\n3\n"))]];
    let mut items = Items::product(table, tab).unwrap();
    assert!(items.columns().unwrap().is_ok());
    let found = read(items);
    assert_eq!(found[0], "1|2");
    assert!(
        found[1].starts_with("! line 3: it has 1 columns"),
        "{found:?}"
    );
}
