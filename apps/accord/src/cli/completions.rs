//! `accord completions`: what a shell completes.

#[derive(clap::Args)]
pub struct Completions {
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

pub fn run(args: &Completions, command: &clap::Command) {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command.clone(), "accord", &mut script);
    let _ = std::io::Write::write_all(&mut std::io::stdout(), &script);
}
