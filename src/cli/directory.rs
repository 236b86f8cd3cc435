//! The directories of the two sides: a client's holds the secret, a server's parameters and evaluation keys.

use std::{
    fs,
    io::{ErrorKind, Read},
    path::Path,
};

use super::Failure;
use crate::{
    backend::Backend,
    ckks::Ckks,
    model::Embedding,
    rlwe::{Context, EvaluationKeys, KeyNeeds, Params, SecretKey, Spec},
    wire::{self, KeyFile, Kind, Name, Reader},
};

pub(super) const SECRET: &str = "secret.key";
pub(super) const PARAMETERS: &str = "parameters.cf";
pub(super) const KEYS: &str = "evaluation.keys";
pub(super) const EMBEDDING: &str = "embedding.safetensors";
pub(super) const REQUESTS: &str = "requests";

const ADD_MISSING: &str =
    "run `cipherformer keygen` again with the same directories, which adds what is missing";
/// Largest file of an embedding table; that of the built-in model has 374 kB.
const MAX_EMBEDDING_BYTES: u64 = 1 << 20;

/// The parameters that the built-in model was made for.
pub(super) const CHAIN: &str = "langid";

/// What a client works with; no weight of the model is in it.
pub(super) struct ClientSide<B: Backend> {
    pub(super) ckks: Ckks<B>,
    pub(super) embedding: Embedding,
    pub(super) secret: SecretKey<B>,
    pub(super) key: Name,
}

/// What a server works with; no type in it can hold a secret.
pub(super) struct ServerSide<B: Backend> {
    pub(super) ckks: Ckks<B>,
    pub(super) keys: EvaluationKeys<B>,
    pub(super) key: Name,
}

/// Creates a directory, and its parents, for its owner alone when it is to hold a secret.
pub(super) fn create(path: &Path, private: bool) -> Result<(), Failure> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    if private {
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    }
    #[cfg(not(unix))]
    let _ = private;
    builder
        .create(path)
        .map_err(|e| format!("{}: {e}; pass a place for a directory", path.display()).into())
}

/// Refuses a place for ciphertexts where something else is: a key, a directory, a file of the user's, or the command's own input.
pub(super) fn output(path: &Path, input: Option<&Path>) -> Result<(), Failure> {
    if path.symlink_metadata().is_err() {
        return Ok(());
    }
    let same = |input: &Path| matches!((input.canonicalize(), path.canonicalize()), (Ok(a), Ok(b)) if a == b);
    if input.is_some_and(same) {
        return Err(format!("{}: is the input as well; pass another --out", path.display()).into());
    }
    match wire::inspect(path) {
        Ok(found) if matches!(found.header.kind, Kind::SeededCiphertexts | Kind::Ciphertexts) => Ok(()),
        _ => Err(format!(
            "{}: exists, and only ciphertexts are replaced by ciphertexts; pass another --out",
            path.display()
        )
        .into()),
    }
}

/// Opens what another command wrote.
pub(super) fn input(path: &Path, remedy: &str) -> Result<Reader, Failure> {
    match path.metadata() {
        Err(e) if e.kind() == ErrorKind::NotFound => {
            Err(format!("{}: there is no such file; {remedy}", path.display()).into())
        }
        _ => Ok(Reader::open(path)?),
    }
}

fn demand(dir: &Path, file: &str, remedy: &str) -> Result<(), Failure> {
    match fs::metadata(dir.join(file)) {
        Ok(_) => Ok(()),
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Err(format!("{}: holds no {file}; {remedy}", dir.display()).into())
        }
        Err(e) => Err(format!(
            "{}: cannot look for {file}: {e}; run it as a user who may, or change the permissions",
            dir.display()
        )
        .into()),
    }
}

/// The context of the parameters in a directory, which must be those of the model.
fn context<B: Backend>(dir: &Path, backend: B) -> Result<Ckks<B>, Failure> {
    let path = dir.join(PARAMETERS);
    let (spec, _): (Spec, _) = wire::load(&path, &())?;
    let params = Params::new(spec).map_err(|e| format!("{}: {e}", path.display()))?;
    if !params.same(&Params::shipped(CHAIN)?) {
        let found = wire::known_name(&wire::digest(params.spec()));
        return Err(format!(
            "{}: parameters {found}, and the language model runs on {CHAIN}; make keys with `cipherformer keygen`",
            path.display()
        )
        .into());
    }
    Ok(Ckks::new(&Context::new(backend, params)?))
}

/// The public embedding table of a directory.
pub(super) fn embedding(dir: &Path) -> Result<Embedding, Failure> {
    let path = dir.join(EMBEDDING);
    let mut bytes = Vec::new();
    let read = fs::File::open(&path).and_then(|f| f.take(MAX_EMBEDDING_BYTES + 1).read_to_end(&mut bytes));
    read.map_err(|e| format!("{}: {e}; {ADD_MISSING}", path.display()))?;
    if bytes.len() as u64 > MAX_EMBEDDING_BYTES {
        return Err(format!(
            "{}: more than {MAX_EMBEDDING_BYTES} bytes, which no embedding table has; remove it, and {ADD_MISSING}",
            path.display()
        )
        .into());
    }
    Embedding::from_safetensors(&bytes).map_err(|e| format!("{}: {e}", path.display()).into())
}

/// Opens the client's directory.
pub(super) fn client<B: Backend>(dir: &Path, backend: B) -> Result<ClientSide<B>, Failure> {
    let remedy = "pass the directory that `keygen --client` wrote";
    demand(dir, SECRET, remedy)?;
    demand(dir, PARAMETERS, ADD_MISSING)?;
    demand(dir, EMBEDDING, ADD_MISSING)?;
    let ckks = context(dir, backend)?;
    let embedding = embedding(dir)?;
    let (secret, stamp): (SecretKey<B>, _) = wire::load(&dir.join(SECRET), ckks.context())?;
    let key = stamp.key;
    Ok(ClientSide {
        ckks,
        embedding,
        secret,
        key,
    })
}

/// Opens the server's directory, with the keys that are needed. One that holds a secret is refused: a server that can decrypt protects nobody.
pub(super) fn server<B: Backend>(
    dir: &Path,
    backend: B,
    needs: impl FnOnce(&Params) -> KeyNeeds,
) -> Result<ServerSide<B>, Failure> {
    if dir.join(SECRET).exists() {
        return Err(format!(
            "{}: holds {SECRET}, which no server may have; pass the directory that `keygen --server` wrote",
            dir.display()
        )
        .into());
    }
    let remedy = "pass the directory that `keygen --server` wrote; if `keygen` was interrupted, run it again";
    demand(dir, PARAMETERS, remedy)?;
    demand(dir, KEYS, remedy)?;
    let ckks = context(dir, backend)?;
    let file = KeyFile::open(&dir.join(KEYS), ckks.context())?;
    let keys = file.load(&needs(ckks.context().params()))?;
    let keys = keys.expand(ckks.context())?;
    let key = file.stamp().key;
    Ok(ServerSide { ckks, keys, key })
}
