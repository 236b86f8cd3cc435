//! `encrypt`: texts to seeded ciphertexts, on the client.

use std::time::Instant;

use serde_json::json;

use super::{
    EncryptArgs, Failure, classify, directory,
    request::{Request, Text},
    show,
};
use crate::{
    matmul::Columns,
    model::{LanguageModel, WIDTH, WINDOW, Window, windows},
    report::{bytes, seconds},
    sample::PublicSeed,
    transformer::Requests,
    wire::{self, Existing, Name, Stamp},
};

/// The texts of the arguments, and their windows.
fn read(args: &EncryptArgs) -> Result<(Request, Vec<Window>), Failure> {
    let mut all = Vec::new();
    let mut texts = Vec::new();
    match (&args.text, &args.file) {
        (Some(text), _) => {
            all = windows(text, classify::BATCH)?;
            texts.push(Text {
                line: None,
                windows: all.len(),
                error: None,
            });
        }
        (None, Some(path)) => {
            let content = classify::content(path)?;
            for (i, line) in content.lines().enumerate() {
                if line.trim().is_empty() {
                    continue;
                }
                let found = windows(line, classify::WINDOWS_OF_A_LINE);
                let error = found.as_ref().err().map(ToString::to_string);
                let found = found.unwrap_or_default();
                texts.push(Text {
                    line: Some(i + 1),
                    windows: found.len(),
                    error,
                });
                all.extend(found);
            }
            let (have, most) = (all.len(), classify::BATCH);
            if have > most {
                return Err(format!(
                    "{}: {have} windows of text, and one batch of ciphertexts holds {most}; split the file",
                    path.display()
                )
                .into());
            }
            if have == 0 {
                return Err(format!(
                    "{}: no line holds a text; pass a UTF-8 text file with one text a line",
                    path.display()
                )
                .into());
            }
        }
        (None, None) => return Err("nothing to encrypt; pass --text or --file".into()),
    }
    Ok((Request { texts }, all))
}

pub(super) fn run(args: &EncryptArgs) -> Result<(), Failure> {
    directory::output(&args.out, None)?;
    let (request, all) = read(args)?;
    let side = directory::client(&args.client)?;
    let clock = Instant::now();
    let ctx = side.ckks.context();
    let columns = Columns::new(WINDOW, classify::BATCH)?;
    let requests = Requests::new(&LanguageModel::builtin()?, columns, &all)?;
    let sent = side
        .ckks
        .encrypt(&side.secret, requests.values(), WIDTH, ctx.params().top())?;
    let mut name = [0; 16];
    name.copy_from_slice(&PublicSeed::from_os()?.0[..16]);
    let stamp = Stamp {
        key: side.key,
        request: Name(name),
    };
    request.save(&args.client, stamp.request)?;
    wire::save(&args.out, &sent, ctx, stamp, Existing::Replace)?;
    let took = clock.elapsed().as_secs_f64();

    let failed = request.texts.iter().filter(|t| t.error.is_some()).count();
    let texts = request.texts.len() - failed;
    let size = std::fs::metadata(&args.out)?.len();
    if args.json {
        let object = json!({
            "out": args.out.display().to_string(),
            "request": stamp.request.to_string(),
            "texts": texts,
            "failed": failed,
            "windows": all.len(),
            "ciphertexts": sent.items(),
            "bytes": size,
            "seconds": took,
        });
        say!("{object}");
        return Ok(());
    }
    say!();
    say!(
        "  {}: {} ciphertexts, {}, whatever the number and length of the texts",
        args.out.display(),
        sent.items(),
        bytes(size as usize)
    );
    say!();
    let plural = |n: usize, one: &str| format!("{n} {one}{}", if n == 1 { "" } else { "s" });
    say!(
        "  {}",
        show::dim(&format!(
            "{} in {}, {} without letters; request {}; {}",
            plural(texts, "text"),
            plural(all.len(), "window"),
            plural(failed, "line"),
            stamp.request,
            seconds(took)
        ))
    );
    Ok(())
}
