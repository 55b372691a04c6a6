//! `accord completions`: what a shell completes. In bash that is the names of devices, too, as the running hub knows them.

use std::time::Duration;

use accord_model::text::for_screen;

use super::Context;
use crate::api::types::{Devices, Trust};

/// A shell that waits is no help.
const ANSWERED_WITHIN: Duration = Duration::from_secs(1);
/// Most names that are offered.
const MOST: usize = 500;

#[derive(clap::Args)]
pub struct Completions {
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

pub fn run(args: &Completions, command: &clap::Command) {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command.clone(), "accord", &mut script);
    if args.shell == clap_complete::Shell::Bash {
        script.extend(names_in_bash(command).into_bytes());
    }
    let _ = std::io::Write::write_all(&mut std::io::stdout(), &script);
}

/// The names of devices, a line each: without a hub that answers, none.
pub async fn names(context: &Context) {
    let asked = tokio::time::timeout(ANSWERED_WITHIN, context.hub.get::<Devices>("/devices"));
    let Ok(Ok(Devices { devices, .. })) = asked.await else { return };
    for device in devices.iter().filter(|device| device.trust != Trust::Own).take(MOST) {
        let twin = devices.iter().any(|other| other.id != device.id && other.name == device.name);
        let name = for_screen(&device.name, 80);
        match device.room.as_deref().filter(|_| twin) {
            Some(room) => context.screen.say(format!("{name} ({})", for_screen(room.trim(), 40))),
            None => context.screen.say(name),
        }
    }
}

/// Commands whose first word behind them is a device, with whether all further words are devices, too.
fn of_devices(command: &clap::Command, path: &str, found: &mut Vec<(String, bool)>) {
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        let path = format!("{path} {}", sub.get_name()).trim_start().to_owned();
        let first = sub.get_positionals().next().map(|argument| argument.get_id().as_str());
        if let Some(first @ ("device" | "devices")) = first {
            found.push((path.clone(), first == "devices"));
        }
        of_devices(sub, &path, found);
    }
}

/// Wraps what was generated: where a device is wanted, its name is completed.
fn names_in_bash(command: &clap::Command) -> String {
    let mut found = Vec::new();
    of_devices(command, "", &mut found);
    let of = |several: bool| {
        let paths: Vec<String> =
            found.iter().filter(|(_, is)| *is == several).map(|(path, _)| format!("'{path}'")).collect();
        if paths.is_empty() { "''".to_owned() } else { paths.join("|") }
    };
    format!(
        r#"
# Where a device is wanted, the names that the running hub knows.
_accord_devices() {{
    _accord "$@"
    local word before= current="${{COMP_WORDS[COMP_CWORD]}}" name quoted=
    # An option, or what belongs to one.
    [[ $current == -* || ${{COMP_WORDS[COMP_CWORD-1]}} == -* ]] && return
    for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        [[ $word == -* ]] || before="${{before:+$before }}$word"
    done
    case "$before" in
        {one}) ;;
        {several}) ;;
        *) return ;;
    esac
    [[ $current == [\"\']* ]] && quoted=1 current="${{current:1}}"
    current="${{current//\\/}}"
    COMPREPLY=()
    while IFS= read -r name; do
        [[ "${{name,,}}" == "${{current,,}}"* ]] || continue
        [[ $quoted ]] && COMPREPLY+=("$name") || COMPREPLY+=("$(printf %q "$name")")
    done < <(accord devices names 2>/dev/null)
}}
complete -F _accord_devices -o nosort -o bashdefault -o default accord
"#,
        one = of(false),
        several = match of(true).as_str() {
            "''" => "''".to_owned(),
            paths => paths.split('|').map(|path| format!("{path}*")).collect::<Vec<_>>().join("|"),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bash_asks_for_names_where_a_device_is_wanted_and_nowhere_else() {
        let script = names_in_bash(&<crate::cli::Cli as clap::CommandFactory>::command());
        for path in ["'home set'", "'home do'", "'home history'", "'ring'", "'devices show'", "'devices set'*"] {
            assert!(script.contains(path), "{path}: {script}");
        }
        assert!(!script.contains("'home room'") && !script.contains("'devices names'"), "{script}");
    }
}
