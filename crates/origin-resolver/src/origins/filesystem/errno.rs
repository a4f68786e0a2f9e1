//! What an error of the operating system says of a key.
//!
//! Pure. *Missing* here is only a claim: it counts when the root has been found trustworthy
//! afterwards. Whatever is not listed is *unknown*.

use rustix::io::Errno;

use crate::Reason;

/// What an error means for the key that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// No file can be there, provided that the root is the right one.
    Missing,
    /// Nobody can say.
    Unknown(Reason),
}

/// The table of the design, for errors met while a file is opened or read.
pub(super) fn verdict_of(errno: Errno) -> Meaning {
    match errno {
        Errno::NOENT | Errno::NOTDIR | Errno::ISDIR | Errno::NAMETOOLONG => Meaning::Missing,
        Errno::ACCESS | Errno::PERM => Meaning::Unknown(Reason::Denied),
        Errno::TIMEDOUT => Meaning::Unknown(Reason::Timeout),
        _ => Meaning::Unknown(Reason::Disk),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_four_errors_claim_that_a_file_is_missing() {
        let missing: Vec<_> = (1..=133)
            .map(Errno::from_raw_os_error)
            .filter(|errno| verdict_of(*errno) == Meaning::Missing)
            .collect();
        assert_eq!(
            missing,
            [
                Errno::NOENT,
                Errno::NOTDIR,
                Errno::ISDIR,
                Errno::NAMETOOLONG
            ]
        );
    }

    #[test]
    fn a_permission_is_never_an_absence() {
        for errno in [Errno::ACCESS, Errno::PERM] {
            assert_eq!(verdict_of(errno), Meaning::Unknown(Reason::Denied));
        }
    }

    #[test]
    fn a_disk_in_trouble_is_unknown() {
        for errno in [
            Errno::IO,
            Errno::LOOP,
            Errno::XDEV,
            Errno::MFILE,
            Errno::NFILE,
            Errno::STALE,
            Errno::NXIO,
            Errno::NODEV,
            Errno::NOTCONN,
            Errno::AGAIN,
            Errno::NOMEM,
            Errno::UCLEAN,
        ] {
            assert_eq!(verdict_of(errno), Meaning::Unknown(Reason::Disk), "{errno}");
        }
    }

    #[test]
    fn a_network_file_system_that_gave_up_waiting_timed_out() {
        assert_eq!(
            verdict_of(Errno::TIMEDOUT),
            Meaning::Unknown(Reason::Timeout)
        );
    }
}
