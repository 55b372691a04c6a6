//! Which calls to the system a locked-up program may not make.

use std::collections::BTreeMap;

use linux_raw_sys::general as call;
use rustix::io::Errno;
use rustix::process::Pid;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    sock_filter,
};

use super::super::OutletError;

/// Calls that a reader of films has no use for: sockets; other processes; what Landlock does not look at (rights, owners,
/// times and attributes of files); namespaces, mounts, keys, and what has often let programs out.
const REFUSED: &[u32] = &[
    call::__NR_socket,
    call::__NR_socketpair,
    call::__NR_connect,
    call::__NR_bind,
    call::__NR_listen,
    call::__NR_accept,
    call::__NR_accept4,
    call::__NR_sendto,
    call::__NR_sendmsg,
    call::__NR_sendmmsg,
    call::__NR_kill,
    call::__NR_tkill,
    call::__NR_tgkill,
    call::__NR_rt_sigqueueinfo,
    call::__NR_rt_tgsigqueueinfo,
    call::__NR_pidfd_send_signal,
    call::__NR_pidfd_getfd,
    call::__NR_ptrace,
    call::__NR_process_vm_readv,
    call::__NR_process_vm_writev,
    call::__NR_process_madvise,
    call::__NR_kcmp,
    call::__NR_process_mrelease,
    call::__NR_migrate_pages,
    call::__NR_move_pages,
    call::__NR_setpriority,
    call::__NR_ioprio_set,
    call::__NR_setsid,
    call::__NR_setrlimit,
    call::__NR_execveat,
    call::__NR_fchmod,
    call::__NR_fchmodat,
    call::__NR_fchmodat2,
    call::__NR_fchown,
    call::__NR_fchownat,
    call::__NR_utimensat,
    call::__NR_setxattr,
    call::__NR_lsetxattr,
    call::__NR_fsetxattr,
    call::__NR_removexattr,
    call::__NR_lremovexattr,
    call::__NR_fremovexattr,
    call::__NR_getxattr,
    call::__NR_lgetxattr,
    call::__NR_fgetxattr,
    call::__NR_listxattr,
    call::__NR_llistxattr,
    call::__NR_flistxattr,
    call::__NR_setxattrat,
    call::__NR_getxattrat,
    call::__NR_listxattrat,
    call::__NR_removexattrat,
    call::__NR_file_setattr,
    call::__NR_truncate,
    call::__NR_mknodat,
    call::__NR_shmget,
    call::__NR_shmat,
    call::__NR_shmctl,
    call::__NR_semget,
    call::__NR_semctl,
    call::__NR_semop,
    call::__NR_semtimedop,
    call::__NR_msgget,
    call::__NR_msgctl,
    call::__NR_msgsnd,
    call::__NR_msgrcv,
    call::__NR_mq_open,
    call::__NR_mq_unlink,
    call::__NR_add_key,
    call::__NR_request_key,
    call::__NR_keyctl,
    call::__NR_unshare,
    call::__NR_setns,
    call::__NR_mount,
    call::__NR_umount2,
    call::__NR_pivot_root,
    call::__NR_chroot,
    call::__NR_move_mount,
    call::__NR_open_tree,
    call::__NR_fsopen,
    call::__NR_fsconfig,
    call::__NR_fsmount,
    call::__NR_fspick,
    call::__NR_mount_setattr,
    call::__NR_name_to_handle_at,
    call::__NR_open_by_handle_at,
    call::__NR_fanotify_init,
    call::__NR_io_uring_setup,
    call::__NR_io_uring_enter,
    call::__NR_io_uring_register,
    call::__NR_bpf,
    call::__NR_perf_event_open,
    call::__NR_userfaultfd,
    call::__NR_personality,
    call::__NR_init_module,
    call::__NR_finit_module,
    call::__NR_delete_module,
    call::__NR_kexec_load,
    call::__NR_reboot,
    call::__NR_swapon,
    call::__NR_swapoff,
    call::__NR_acct,
    call::__NR_quotactl,
    call::__NR_syslog,
    call::__NR_settimeofday,
    call::__NR_clock_settime,
    call::__NR_adjtimex,
    call::__NR_clock_adjtime,
];
/// Those that only older machines have.
#[cfg(target_arch = "x86_64")]
const REFUSED_TOO: &[u32] = &[
    call::__NR_fork,
    call::__NR_vfork,
    call::__NR_chmod,
    call::__NR_chown,
    call::__NR_lchown,
    call::__NR_utime,
    call::__NR_utimes,
    call::__NR_futimesat,
    call::__NR_mknod,
    call::__NR_ioperm,
    call::__NR_iopl,
    call::__NR_modify_ldt,
];
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_TOO: &[u32] = &[];
/// The same calls by other numbers (the "x32" way to call, of which nobody makes use) have this bit.
pub(super) const X32: u32 = 0x4000_0000;
/// How a program is started: the child borrows the memory of its parent, which waits until it became another program.
pub(super) const STARTS: u32 = call::CLONE_VM | call::CLONE_VFORK | call::SIGCHLD;

/// Calls by the numbers of another machine end the process.
pub(super) fn filter(group: Pid) -> Result<BpfProgram, OutletError> {
    let words = |error: seccompiler::BackendError| OutletError::NoSandbox(format!("seccomp: {error}"));
    let machine = std::env::consts::ARCH.try_into().map_err(words)?;
    let mut rules: BTreeMap<_, _> =
        REFUSED.iter().chain(REFUSED_TOO).map(|number| (i64::from(*number), Vec::new())).collect();
    for (number, refused) in partly_refused(group).map_err(words)? {
        rules.insert(i64::from(number), refused);
    }
    let no = SeccompAction::Errno(Errno::PERM.raw_os_error().unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, no.clone(), machine);
    let rest: BpfProgram = filter.and_then(TryInto::try_into).map_err(words)?;
    // What no rule for one number says comes first.
    let missing = SeccompAction::Errno(Errno::NOSYS.raw_os_error().unsigned_abs());
    let step = |code: u16, jf: u8, k: u32| sock_filter { code, jt: 0, jf, k };
    let mut all = vec![
        // The number of the call, which lies first.
        step(call_filter::LOAD, 0, 0),
        step(call_filter::IF_ANY_BIT, 1, X32),
        step(call_filter::RETURN, 0, no.into()),
        // Its arguments lie in memory, where no filter looks. Libraries take the older `clone` where this one is not there.
        step(call_filter::IF_EQUAL, 1, call::__NR_clone3),
        step(call_filter::RETURN, 0, missing.into()),
    ];
    all.extend(rest);
    Ok(all)
}

/// Steps of a filter (`linux/bpf_common.h`).
mod call_filter {
    /// `BPF_LD | BPF_W | BPF_ABS`
    pub(super) const LOAD: u16 = 0x20;
    /// `BPF_JMP | BPF_JSET | BPF_K`
    pub(super) const IF_ANY_BIT: u16 = 0x45;
    /// `BPF_JMP | BPF_JEQ | BPF_K`
    pub(super) const IF_EQUAL: u16 = 0x15;
    /// `BPF_RET | BPF_K`
    pub(super) const RETURN: u16 = 0x06;
}

/// Calls that are refused when all conditions of any one rule hold.
fn partly_refused(group: Pid) -> Result<Vec<(u32, Vec<SeccompRule>)>, seccompiler::BackendError> {
    use SeccompCmpOp::{Eq, MaskedEq, Ne};
    // Numbers of processes, flags and commands have 32 bits, addresses all.
    let is = |place: u8, how: SeccompCmpOp, what: u32| {
        SeccompCondition::new(place, SeccompCmpArgLen::Dword, how, u64::from(what))
    };
    let rule = |condition: SeccompCondition| SeccompRule::new(vec![condition]);
    let group = group.as_raw_pid().cast_unsigned();
    let thread = MaskedEq(u64::from(call::CLONE_THREAD));
    let limit = SeccompCondition::new(2, SeccompCmpArgLen::Qword, Ne, 0)?;
    let mut all = vec![
        // Threads, and what it takes to start it.
        (call::__NR_clone, vec![SeccompRule::new(vec![is(0, thread, 0)?, is(0, Ne, STARTS)?])?]),
        // Into its own group, and no other.
        (call::__NR_setpgid, vec![rule(is(0, Ne, 0)?)?, rule(is(1, Ne, group)?)?]),
        // It may ask for its own limits: not change them, whoever it runs as, nor look at those of others.
        (call::__NR_prlimit64, vec![rule(is(0, Ne, 0)?)?, rule(limit)?]),
        // Who gets a signal when a file is ready could be anybody.
        (
            call::__NR_fcntl,
            vec![
                rule(is(1, Eq, call::F_SETOWN)?)?,
                rule(is(1, Eq, call::F_SETOWN_EX)?)?,
                rule(is(1, Eq, call::F_SETSIG)?)?,
            ],
        ),
    ];
    let own = [
        call::__NR_sched_setattr,
        call::__NR_sched_setscheduler,
        call::__NR_sched_setaffinity,
        call::__NR_sched_setparam,
    ];
    for number in own {
        all.push((number, vec![rule(is(0, Ne, 0)?)?]));
    }
    Ok(all)
}
