//! A line without what differs from task to task: [`normalise`].

/// How often a line is gone over: what one pass leaves can be new to the next, as in `'a'/b`.
const PASSES: usize = 8;

/// What ends a path, beside white space.
const PATH_ENDS: &[char] = &[
    '"', '\'', '`', '‘', '’', '“', '”', '«', '»', '…', ':', ',', ';', '(', ')', '[', ']', '{', '}',
    '<', '>', '|', '=',
];

/// The quotes, as they open and close. Old tools of GNU write `` `name' ``.
const QUOTES: [(char, &[char]); 6] = [
    ('\'', &['\'']),
    ('"', &['"']),
    ('`', &['`', '\'']),
    ('‘', &['’']),
    ('“', &['”']),
    ('«', &['»']),
];

/// Endings by which a name without a folder is taken for a file.
const FILE_ENDINGS: [&str; 86] = [
    "7z", "avi", "bak", "bat", "bin", "bmp", "bz2", "c", "cc", "cfg", "conf", "cpp", "crt", "cs",
    "css", "csv", "dat", "db", "dll", "doc", "docx", "dylib", "exe", "flac", "gif", "go", "gz",
    "h", "hpp", "htm", "html", "ico", "ini", "ipynb", "jar", "java", "jpeg", "jpg", "js", "json",
    "jsonl", "jsx", "kt", "lock", "log", "m4a", "md", "mjs", "mkv", "mov", "mp3", "mp4", "ndjson",
    "ogg", "parquet", "pdf", "pem", "php", "pl", "png", "ppt", "pptx", "py", "rar", "rb", "rs",
    "rst", "sh", "sql", "sqlite", "svg", "tar", "tgz", "tiff", "toml", "ts", "tsv", "tsx", "txt",
    "wav", "webp", "xls", "xlsx", "xml", "yaml", "yml",
];

/// What the system says of a file whose name is before it, in lower case.
const OF_FILES: [&str; 6] = [
    ": no such file or directory",
    ": permission denied",
    ": is a directory",
    ": not a directory",
    ": file exists",
    ": file name too long",
];

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];

/// A line in which `N`, `P`, `T`, `A`, `U`, `X` and `'…'` mean what differs from task to task; see
/// [`Cause::label`](super::Cause::label). White space is folded and control characters are gone. What is
/// normalised stays as it is.
pub(super) fn normalise(line: &str) -> String {
    let mut text = folded(line);
    for _ in 0..PASSES {
        let next = without_names(&with_joined_times(&without_values(&without_quoted(&text))));
        if next == text {
            break;
        }
        text = next;
    }
    text
}

/// A text with white space and control characters folded to single blanks.
pub(super) fn folded(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

/// Empties quotes. One that follows a letter is an apostrophe, and one that is followed by a letter closes
/// nothing.
fn without_quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut before = ' ';
    while let Some(c) = rest.chars().next() {
        out.push(c);
        rest = &rest[c.len_utf8()..];
        let closes = QUOTES.iter().find(|(open, _)| *open == c);
        if let Some((_, closes)) = closes
            && (!before.is_alphanumeric() || rest.starts_with('…'))
            && let Some((end, close)) = closing(rest, closes)
        {
            out.push('…');
            out.push(close);
            rest = &rest[end + close.len_utf8()..];
            before = close;
        } else {
            before = c;
        }
    }
    out
}

/// The first quote that closes, and where.
fn closing(text: &str, closes: &[char]) -> Option<(usize, char)> {
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        let after = &text[at + c.len_utf8()..];
        let is_escaped = c == '"' && before == '\\';
        if closes.contains(&c) && !is_escaped && !after.starts_with(char::is_alphanumeric) {
            return Some((at, c));
        }
        before = c;
    }
    None
}

/// Puts a letter for each number, path, time, address, URL and token.
fn without_values(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let before = out.chars().next_back().unwrap_or(' ');
        let kept = kept_number(&out, rest);
        if kept > 0 {
            out.push_str(&rest[..kept]);
            rest = &rest[kept..];
        } else if let Some((len, letter)) = value_at(before, rest) {
            out.push(letter);
            rest = &rest[len..];
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

/// The length of a number that is a reason: what curl says of an HTTP status.
fn kept_number(before: &str, rest: &str) -> usize {
    let len = digits(rest);
    if len == 3 && before.ends_with("URL returned error: ") {
        len
    } else {
        0
    }
}

/// The value that a text begins with: its length and the letter for it.
fn value_at(before: char, rest: &str) -> Option<(usize, char)> {
    let begins = " =([{<:,;|@>".contains(before);
    let found = |len: Option<usize>, letter| len.map(|len| (len, letter));
    begins
        .then(|| {
            found(url(rest), 'U')
                .or_else(|| found(time(rest), 'T'))
                .or_else(|| found(path(rest), 'P'))
                .or_else(|| found(address(rest), 'A'))
                .or_else(|| found(duration(rest), 'T'))
        })
        .flatten()
        .or_else(|| found(token(rest).filter(|_| !before.is_alphanumeric()), 'X'))
        .or_else(|| found(number(rest, begins), 'N'))
}

fn url(text: &str) -> Option<usize> {
    let (scheme, rest) = text.split_once("://")?;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    let end = rest.find(|c: char| c.is_whitespace() || "\"'`<>()[]{}…".contains(c));
    let body = rest[..end.unwrap_or(rest.len())].trim_end_matches(['.', ',', ':', ';', '!', '?']);
    (is_scheme && !body.is_empty()).then_some(scheme.len() + 3 + body.len())
}

/// A date, a time of day, or both with a `T` between them.
fn time(text: &str) -> Option<usize> {
    let date = ["dddd-dd-dd", "dddd/dd/dd"]
        .iter()
        .find_map(|shape| shaped(text, shape));
    let Some(date) = date else {
        return clock(text).filter(|len| ends_word(&text[*len..]));
    };
    let both = text[date..]
        .strip_prefix(['T', 't', '_'])
        .and_then(|rest| Some(date + 1 + clock(rest)?));
    both.or(Some(date)).filter(|len| ends_word(&text[*len..]))
}

/// A time of day with seconds, its fraction and its zone.
fn clock(text: &str) -> Option<usize> {
    let mut len = shaped(text, "dd:dd:dd").or_else(|| shaped(text, "d:dd:dd"))?;
    if let Some(fraction) = text[len..].strip_prefix(['.', ',']) {
        let digits = digits(fraction);
        len += if digits > 0 { 1 + digits } else { 0 };
    }
    let zone = ["Z", "z", "+dd:dd", "-dd:dd", "+dddd", "-dddd"]
        .iter()
        .find_map(|shape| shaped(&text[len..], shape));
    Some(len + zone.unwrap_or(0))
}

fn path(text: &str) -> Option<usize> {
    let drive =
        matches!(text.as_bytes(), [letter, b':', b'\\' | b'/', ..] if letter.is_ascii_alphabetic());
    let from = if drive { 2 } else { 0 };
    let end = text[from..].find(|c: char| c.is_whitespace() || PATH_ENDS.contains(&c));
    let end = end.map_or(text.len(), |end| from + end);
    let path = text[..end].trim_end_matches(['.', '!', '?']);
    let is_rooted = drive
        || ["/", "./", "../", "~/"]
            .iter()
            .any(|root| path.starts_with(root));
    let has_letters = path.contains(char::is_alphabetic);
    let slashes = path.matches(['/', '\\']).count();
    let ending = path
        .rsplit_once('.')
        .filter(|(name, ending)| !name.is_empty() && !ending.contains(['/', '\\']));
    let is_path = match ending {
        _ if is_rooted => path.contains(char::is_alphanumeric),
        _ if slashes > 1 => has_letters,
        Some((_, ending)) if slashes == 1 => {
            ending.len() <= 5 && ending.starts_with(|c: char| c.is_ascii_alphabetic())
        }
        // `a.b.c()` is code.
        Some((_, ending)) => {
            !text[path.len()..].starts_with('(')
                && FILE_ENDINGS.contains(&&*ending.to_ascii_lowercase())
        }
        None => false,
    };
    is_path.then_some(path.len())
}

/// An address of IPv4, IPv6 or a network card.
fn address(text: &str) -> Option<usize> {
    let end = |stays: fn(char) -> bool| text.find(|c| !stays(c)).unwrap_or(text.len());
    let dotted = text[..end(|c| c.is_ascii_digit() || c == '.')].trim_end_matches('.');
    let is_dotted =
        dotted.split('.').count() == 4 && dotted.split('.').all(|part| part.parse::<u8>().is_ok());
    if is_dotted {
        return Some(dotted.len()).filter(|len| ends_word(&text[*len..]));
    }
    let mut colons = &text[..end(|c| c.is_ascii_hexdigit() || c == ':')];
    if !colons.ends_with("::") {
        colons = colons.trim_end_matches(':');
    }
    let groups = || colons.split(':');
    let is_address = groups().all(|group| group.len() <= 4)
        && colons.contains(|c: char| c.is_ascii_digit())
        && (groups().count() == 8
            || (groups().count() == 6 && groups().all(|group| group.len() == 2))
            || (groups().count() > 2 && colons.contains("::")));
    (is_address && ends_word(&text[colons.len()..])).then_some(colons.len())
}

/// A length of time with its units, as in `1m30s`.
fn duration(text: &str) -> Option<usize> {
    let mut len = 0;
    while !ends_word(&text[len..]) {
        let rest = &text[len..];
        let number = decimal(rest)?;
        let unit = rest[number..].find(|c: char| !c.is_alphabetic());
        let unit = unit.unwrap_or(rest.len() - number);
        let name = &rest[number..number + unit];
        [
            "ns", "us", "µs", "ms", "s", "sec", "secs", "m", "min", "mins", "h", "hr", "hrs", "d",
        ]
        .contains(&name)
        .then_some(())?;
        len += number + unit;
    }
    (len > 0).then_some(len)
}

/// A hexadecimal text or a random token.
fn token(text: &str) -> Option<usize> {
    if let Some(len) = shaped(text, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx") {
        return Some(len).filter(|len| ends_word(&text[*len..]));
    }
    let word = &text[..text
        .find(|c: char| !c.is_ascii_alphanumeric())
        .unwrap_or(text.len())];
    let is_hex = |word: &str| word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let prefixed = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X"));
    let is_token = prefixed.is_some_and(|hex| !hex.is_empty() && is_hex(hex))
        || (word.len() >= 7 && digits > 0 && digits < word.len() && is_hex(word))
        || (word.len() >= 16 && digits >= 4 && digits < word.len());
    is_token.then_some(word.len())
}

/// A number, where a word begins with its sign.
fn number(text: &str, begins: bool) -> Option<usize> {
    let sign = usize::from(begins && text.starts_with(['-', '+']));
    let mut len = sign + decimal(&text[sign..])?;
    if let Some(exponent) = text[len..].strip_prefix(['e', 'E']) {
        let sign = usize::from(exponent.starts_with(['-', '+']));
        let digits = digits(&exponent[sign..]);
        if digits > 0 && ends_word(&exponent[sign + digits..]) {
            len += 1 + sign + digits;
        }
    }
    Some(len)
}

/// Digits, also with points, commas or `_` between them.
fn decimal(text: &str) -> Option<usize> {
    let mut len = digits(text);
    if len == 0 {
        return None;
    }
    while let Some(rest) = text[len..].strip_prefix(['.', ',', '_'])
        && digits(rest) > 0
    {
        len += 1 + digits(rest);
    }
    Some(len)
}

/// How many digits a text begins with.
fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

/// The length of a shape that a text begins with: `d` is a digit, `x` a hexadecimal one, the rest itself.
fn shaped(text: &str, shape: &str) -> Option<usize> {
    let mut bytes = text.bytes();
    let fits = shape.bytes().all(|wanted| {
        bytes.next().is_some_and(|byte| match wanted {
            b'd' => byte.is_ascii_digit(),
            b'x' => byte.is_ascii_hexdigit(),
            _ => byte == wanted,
        })
    });
    fits.then_some(shape.len())
}

fn ends_word(rest: &str) -> bool {
    !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_')
}

/// Makes one `T` of a date and a time: `Mon Jan N T`, `T T`.
fn with_joined_times(text: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in text.split(' ') {
        let previous = words.last_mut();
        match previous {
            Some(previous) if begins_with_time(word) && ends_with_time(previous) => {
                previous.push_str(&word[1..]);
            }
            Some(previous) if is_part_of_date(previous, word) => {
                *previous = word.replacen('N', "T", 1)
            }
            _ => words.push(word.to_owned()),
        }
    }
    words.join(" ")
}

fn begins_with_time(word: &str) -> bool {
    word.strip_prefix('T').is_some_and(ends_word)
}

fn ends_with_time(word: &str) -> bool {
    word.strip_suffix('T')
        .is_some_and(|rest| !rest.ends_with(|c: char| c.is_alphanumeric() || c == '_'))
}

/// Whether a word is a day or month that the next one goes with.
fn is_part_of_date(word: &str, next: &str) -> bool {
    let lower = word.trim_end_matches(',').to_ascii_lowercase();
    let next = next.trim_end_matches(',');
    if DAYS.contains(&&*lower) {
        return matches!(next, "N" | "T") || MONTHS.contains(&&*next.to_ascii_lowercase());
    }
    MONTHS.contains(&&*lower) && matches!(next, "N" | "T")
}

/// What a plain word follows that names a file: `cannot open alice: Permission denied`.
const BEFORE_NAMES: [&str; 22] = [
    "access",
    "cd",
    "create",
    "directory",
    "execute",
    "exec",
    "file",
    "find",
    "folder",
    "in",
    "into",
    "link",
    "load",
    "lstat",
    "open",
    "program",
    "read",
    "remove",
    "run",
    "start",
    "stat",
    "write",
];

/// Whether the word before what the system says is a file. `its output could not be kept: Permission denied` names none.
fn is_name(before: &str, name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    // `ENOENT: no such file or directory` names no file.
    let is_code =
        name.len() > 2 && name.starts_with('E') && name.chars().all(|c| c.is_ascii_uppercase());
    let word_before = before.rsplit(' ').next().unwrap_or_default();
    let is_word = name.chars().all(char::is_alphabetic);
    let takes_a_name =
        word_before.ends_with(':') || BEFORE_NAMES.contains(&&*word_before.to_ascii_lowercase());
    !is_code
        && (!is_word || takes_a_name)
        && name.ends_with(|c: char| c.is_alphanumeric() || "-_.+~*".contains(c))
        && !["error", "exception", "fatal", "failed", "warning"]
            .iter()
            .any(|word| lower.ends_with(word))
}

/// Puts `P` for the file of which the system says something: `cat: alice: No such file or directory`.
fn without_names(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let Some(at) = OF_FILES.iter().find_map(|saying| lower.find(saying)) else {
        return text.to_owned();
    };
    let (head, rest) = text.split_at(at);
    let Some((before, name)) = head.rsplit_once(' ') else {
        return text.to_owned();
    };
    if is_name(before, name) {
        format!("{before} P{rest}")
    } else {
        text.to_owned()
    }
}
