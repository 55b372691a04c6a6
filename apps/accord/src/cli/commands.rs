//! `accord commands`: the owner's own list, which devices may be allowed to have run.

use accord_model::text::for_screen;
use anyhow::{Result, bail};

use super::Context;
use super::agree::quote;
use super::screen::{Cell, name};
use crate::api::types::{OwnCommand, OwnCommands};

#[derive(clap::Args)]
pub struct Commands {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(clap::Subcommand)]
enum Action {
    /// List them (the default).
    List,
    /// Add one, or change the one of that name.
    Add {
        /// What devices see.
        name: String,
        /// The program and its arguments, after `--`; no shell reads them.
        #[arg(required = true, last = true, value_name = "PROGRAM")]
        argv: Vec<String>,
    },
    /// Take one off the list.
    Remove { name: String },
}

const PATH: &str = "/commands";

pub async fn run(args: Commands, context: &Context) -> Result<()> {
    let mut list: OwnCommands = context.hub.get(PATH).await?;
    match args.action.unwrap_or(Action::List) {
        Action::List => return show(context, &list),
        Action::Add { name, argv } => {
            let command = OwnCommand { name: name.trim().to_owned(), argv };
            match list.commands.iter_mut().find(|known| known.name == command.name) {
                Some(known) => *known = command,
                None => list.commands.push(command),
            }
        }
        Action::Remove { name: wanted } => {
            let before = list.commands.len();
            list.commands.retain(|command| command.name != wanted.trim());
            if list.commands.len() == before {
                bail!("No command is called `{}`; `accord commands` lists them", name(&wanted));
            }
        }
    }
    let list: OwnCommands = context.hub.put(PATH, &list).await?;
    show(context, &list)
}

fn show(context: &Context, list: &OwnCommands) -> Result<()> {
    let screen = &context.screen;
    if screen.json {
        return screen.document(list);
    }
    if list.commands.is_empty() {
        screen.note("No commands. `accord commands add \"Lights out\" -- PROGRAM ARGUMENTS` adds one.");
        return Ok(());
    }
    let words = |argv: &[String]| argv.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ");
    let rows =
        list.commands.iter().map(|one| vec![Cell::new(&one.name), Cell::new(for_screen(&words(&one.argv), 110))]);
    screen.table(&["NAME", "RUNS"], rows.collect());
    screen.note("A device sees the names with consent to `commands/share`, and may run them after `accord devices set DEVICE --remote-commands true`.");
    Ok(())
}
