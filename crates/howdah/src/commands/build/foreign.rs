//! Flags of `docker build` that have nothing to do here: those that change nothing are taken, the others say why not.

use crate::commands::CommandError;

/// Flags that are not in the help.
#[derive(Debug, clap::Args)]
pub(super) struct ForeignArgs {
    /// Steps leave no containers.
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    rm: Option<bool>,
    #[arg(long, hide = true)]
    force_rm: bool,
    /// The context is read where it is.
    #[arg(long, hide = true)]
    compress: bool,
    #[arg(long, hide = true)]
    squash: bool,
    #[arg(long, hide = true, value_name = "NAME")]
    builder: Option<String>,
    #[arg(long, hide = true, value_name = "TECHNOLOGY")]
    isolation: Option<String>,
    #[arg(long, hide = true, value_name = "OPTION")]
    security_opt: Vec<String>,
    #[arg(long, hide = true, value_name = "FILE")]
    policy: Vec<String>,
    #[arg(short, long, hide = true, value_name = "SHARES")]
    cpu_shares: Option<String>,
    #[arg(long, hide = true, value_name = "CPUS")]
    cpuset_cpus: Option<String>,
    #[arg(long, hide = true, value_name = "NODES")]
    cpuset_mems: Option<String>,
}

impl ForeignArgs {
    /// Refuses what would change the build and cannot.
    pub(super) fn check(&self) -> Result<(), CommandError> {
        let refused = [
            (
                self.squash,
                "--squash",
                "copy the result into a last stage: FROM scratch, COPY --from=0 / /",
            ),
            (
                self.builder.as_ref().is_some_and(|name| name != "default"),
                "--builder",
                "there is one builder, this program",
            ),
            (
                self.isolation
                    .as_ref()
                    .is_some_and(|name| name != "default"),
                "--isolation",
                "RUN is a container of Linux, and nothing else",
            ),
            (
                !self.security_opt.is_empty(),
                "--security-opt",
                "a step that needs it says RUN --security=insecure, and the build --allow security.insecure",
            ),
            (
                !self.policy.is_empty(),
                "--policy",
                "pin sources by digest in the Dockerfile",
            ),
            (
                self.cpu_shares.is_some(),
                "--cpu-shares",
                "bound the processor time with --cpu-quota",
            ),
            (
                self.cpuset_cpus.is_some() || self.cpuset_mems.is_some(),
                "--cpuset-cpus and --cpuset-mems",
                "run the build under taskset or numactl",
            ),
        ];
        match refused.iter().find(|(is_given, ..)| *is_given) {
            Some((_, flag, instead)) => Err(CommandError::new(format!("{flag} is not supported"))
                .hint(*instead)
                .code(2)),
            None => Ok(()),
        }
    }
}
