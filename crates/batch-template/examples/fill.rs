//! Fills the cells of a row into a script, and shows what is refused.
//!
//! ```sh
//! cargo run -p batch-template --example fill
//! ```

use std::io::{self, Write};

use batch_core::Json;
use batch_template::{Encoding, Encodings, ShellRules, fill, follow};
use serde_json::json;

fn main() -> io::Result<()> {
    let row = json!({"city": "L'Aquila; rm -r ~", "n": " 42 "});
    let mut out = io::stdout().lock();
    for script in [
        "echo {{ row.city }}",
        "seq {{ row.n | trim | int }}",
        "echo \"{{ row.city }}\"",
        "bash -c {{ row.city }}",
        "echo {{ row.town }}",
    ] {
        let params = Json::from(json!({ "script": script }));
        let filled = fill(
            &params,
            &|placeholder| follow(&row, &placeholder.path).map(|cell| cell.clone().into()),
            &|_params| Encodings::text().with("script", Encoding::Shell(ShellRules::default())),
        );
        match filled {
            Ok(params) => writeln!(out, "{script:30} → {params}")?,
            Err(problems) => writeln!(out, "{script:30} ✗ {}", problems[0].message)?,
        }
    }
    Ok(())
}
