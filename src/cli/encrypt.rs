//! `encrypt`: texts to seeded ciphertexts, on the client, batch by batch.

use std::time::Instant;

use serde_json::json;

use super::{
    EncryptArgs, Failure, directory,
    directory::ClientSide,
    request::{Request, Text},
    show,
    texts::{self, BATCH, WINDOWS_OF_A_LINE},
};
use crate::{
    backend::{Backend, device::on},
    matmul::Columns,
    model::{WIDTH, WINDOW, Window, windows},
    report::{bytes, seconds},
    sample::PublicSeed,
    transformer::Requests,
    wire::{Existing, Name, Stamp, Writer},
};

/// Encrypts windows as they come, a batch at a time.
struct Batches<'a, B: Backend> {
    side: &'a ClientSide<B>,
    columns: Columns,
    stamp: Stamp,
    out: Writer,
    pending: Vec<Window>,
    windows: usize,
    batches: usize,
}

impl<B: Backend> Batches<'_, B> {
    fn push(&mut self, window: Window) -> Result<(), Failure> {
        self.pending.push(window);
        self.windows += 1;
        if self.pending.len() == BATCH {
            self.flush()?;
        }
        Ok(())
    }

    /// Encrypts what is pending.
    fn flush(&mut self) -> Result<(), Failure> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let ctx = self.side.ckks.context();
        let requests = Requests::new(&self.side.embedding, self.columns, &self.pending)?;
        let sent = self
            .side
            .ckks
            .encrypt(&self.side.secret, requests.values(), WIDTH, ctx.params().top())?;
        self.out.put(&sent, ctx, self.stamp)?;
        self.pending.clear();
        self.batches += 1;
        Ok(())
    }
}

/// Encrypts the texts of the arguments, and says which windows are whose.
fn texts<B: Backend>(args: &EncryptArgs, batches: &mut Batches<'_, B>) -> Result<Request, Failure> {
    let mut texts = Vec::new();
    match (&args.text, &args.file) {
        (Some(text), _) => {
            let found = windows(text, BATCH)?;
            texts.push(Text {
                line: None,
                windows: found.len(),
                error: None,
            });
            found.into_iter().try_for_each(|window| batches.push(window))?;
        }
        (None, Some(path)) => {
            let content = texts::content(path)?;
            let bar = show::progress("encrypt");
            bar.set_length(content.len() as u64);
            for (line, text) in texts::lines(&content) {
                let found = windows(text, WINDOWS_OF_A_LINE);
                let error = found.as_ref().err().map(ToString::to_string);
                let found = found.unwrap_or_default();
                texts.push(Text {
                    line: Some(line),
                    windows: found.len(),
                    error,
                });
                found.into_iter().try_for_each(|window| batches.push(window))?;
                bar.inc(text.len() as u64 + 1);
            }
            bar.finish_and_clear();
            if batches.windows == 0 {
                return Err(texts::no_text(path));
            }
        }
        (None, None) => return Err("nothing to encrypt; pass --text or --file".into()),
    }
    batches.flush()?;
    Ok(Request { texts })
}

pub(super) fn run(args: &EncryptArgs) -> Result<(), Failure> {
    let device = args.device.open()?;
    on!(device.any(), backend => run_on(args, backend.as_ref().clone()))
}

fn run_on<B: Backend>(args: &EncryptArgs, backend: B) -> Result<(), Failure> {
    directory::output(&args.out, None)?;
    let side = directory::client(&args.client, backend)?;
    let clock = Instant::now();
    let mut name = [0; 16];
    name.copy_from_slice(&PublicSeed::from_os()?.0[..16]);
    let stamp = Stamp {
        key: side.key,
        request: Name(name),
    };
    let mut batches = Batches {
        side: &side,
        columns: Columns::new(WINDOW, BATCH)?,
        stamp,
        out: Writer::create(&args.out, Existing::Replace)?,
        pending: Vec::with_capacity(BATCH),
        windows: 0,
        batches: 0,
    };
    let request = texts(args, &mut batches)?;
    let (windows, count) = (batches.windows, batches.batches);
    // Ciphertexts whose request is unknown could never be read; a request without ciphertexts harms nobody.
    request.save(&args.client, stamp.request)?;
    let size = match batches.out.place() {
        Ok(size) => size,
        Err(error) => {
            Request::remove(&args.client, stamp.request)?;
            return Err(error.into());
        }
    };
    let took = clock.elapsed().as_secs_f64();

    let failed = request.texts.iter().filter(|t| t.error.is_some()).count();
    let texts = request.texts.len() - failed;
    if args.json {
        let object = json!({
            "out": args.out.display().to_string(),
            "request": stamp.request.to_string(),
            "texts": texts,
            "failed": failed,
            "windows": windows,
            "batches": count,
            "ciphertexts": count * WIDTH,
            "bytes": size,
            "seconds": took,
        });
        say!("{object}");
        return Ok(());
    }
    say!();
    say!(
        "  {}: {} of {WIDTH} ciphertexts, {}; the server learns no more than the number of batches of {BATCH} windows",
        args.out.display(),
        texts::count(count, "batch", "batches"),
        bytes(size as usize)
    );
    say!();
    let failures = match failed {
        0 => String::new(),
        n => format!(
            ", {} that could not be used (`decrypt` says why)",
            texts::count(n, "line", "lines")
        ),
    };
    say!(
        "  {}",
        show::dim(&format!(
            "{} in {}{failures}; request {}; {}",
            texts::count(texts, "text", "texts"),
            texts::count(windows, "window", "windows"),
            stamp.request,
            seconds(took)
        ))
    );
    Ok(())
}
