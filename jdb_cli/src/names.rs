//! `names`, `rename`: namespaces that have a name.

use crate::Globals;
use crate::encoding::Encoding;
use crate::error::Result;
use crate::out::Out;
use serde_json::{Map, Value};

/// Arguments of `jdb names`.
#[derive(clap::Args)]
pub(crate) struct NamesArgs {
    /// Only names that begin so.
    #[arg(long, value_name = "TEXT", default_value = "")]
    prefix: String,
    /// Begin behind this name: the last one of the page before.
    #[arg(long, value_name = "NAME")]
    after: Option<String>,
    /// At most so many.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

/// Arguments of `jdb rename`.
#[derive(clap::Args)]
pub(crate) struct RenameArgs {
    /// The name it has.
    old: String,
    /// The name it gets.
    new: String,
}

/// Runs `jdb names`: names and ids, by name.
///
/// # Errors
/// Those of the database.
pub(crate) fn names(globals: &Globals, args: &NamesArgs) -> Result<()> {
    crate::block_on(async {
        let db = globals.open_to_read().await?;
        let mut page = db.names().prefix(&args.prefix).limit(args.limit.unwrap_or(usize::MAX));
        if let Some(after) = &args.after {
            page = page.after(after);
        }
        let mut out = Out::new();
        while let Some((name, id)) = page.next().await? {
            if globals.json {
                let mut object = Map::new();
                Encoding::Utf8.put("name", &name, &mut object);
                object.insert("ns".to_owned(), id.to_string().into());
                out.line(Value::Object(object))?;
            } else {
                out.line(format_args!("{}\t{id}", Encoding::Utf8.show(&name)))?;
            }
        }
        out.finish()?;
        Ok(db.close().await?)
    })
}

/// Runs `jdb rename`.
///
/// # Errors
/// Those of the database.
pub(crate) fn rename(globals: &Globals, args: &RenameArgs) -> Result<()> {
    crate::block_on(async {
        let db = globals.open_to_write().await?;
        db.rename(&args.old, &args.new).await?;
        Ok(db.close().await?)
    })
}
