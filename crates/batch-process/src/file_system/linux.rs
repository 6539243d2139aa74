//! File systems on Linux: the number that `statfs` gives, and for FUSE the table of mounts.

use std::io;
use std::path::Path;

/// What `statfs` gives for everything that a program of the user's serves.
const FUSE: u32 = 0x6573_5546;

/// The numbers of file systems of the network, and of folders that a virtual machine shares with its
/// host. From `linux/magic.h` and, for those outside of the kernel, from GNU coreutils.
const NETWORK: [(u32, &str); 21] = [
    (0x0000_6969, "NFS"),
    (0x0000_517B, "SMB"),
    (0xFF53_4D42, "CIFS"),
    (0xFE53_4D42, "SMB"),
    (0x0102_1997, "9p"),
    (0x00C3_6400, "Ceph"),
    (0x5346_414F, "AFS"),
    (0x6B41_4653, "AFS"),
    (0x0BD0_0BD0, "Lustre"),
    (0x4750_4653, "GPFS"),
    (0x1983_0326, "BeeGFS"),
    (0x7375_7245, "Coda"),
    (0x0000_564C, "NCP"),
    (0x0116_1970, "GFS2"),
    (0x7461_636F, "OCFS2"),
    (0xAAD7_AAEA, "PanFS"),
    (0x2003_0528, "OrangeFS"),
    (0xBEEF_DEAD, "StorNext"),
    (0x786F_4256, "VirtualBox shared folder"),
    (0xBACB_ACBC, "VMware shared folder"),
    (0x7C7C_6673, "Parallels shared folder"),
];

/// Types of FUSE mounts, without `fuse.` before them, that fetch their files over a network.
const NETWORK_FUSE: [(&str, &str); 24] = [
    ("sshfs", "sshfs"),
    ("glusterfs", "GlusterFS"),
    ("ceph", "Ceph"),
    ("ceph-fuse", "Ceph"),
    ("s3fs", "s3fs"),
    ("goofys", "goofys"),
    ("mountpoint-s3", "Mountpoint for S3"),
    ("gcsfuse", "gcsfuse"),
    ("blobfuse", "blobfuse"),
    ("blobfuse2", "blobfuse"),
    ("rclone", "rclone"),
    ("juicefs", "JuiceFS"),
    ("JuiceFS", "JuiceFS"),
    ("seaweedfs", "SeaweedFS"),
    ("objectivefs", "ObjectiveFS"),
    ("mfs", "MooseFS"),
    ("moosefs", "MooseFS"),
    ("lizardfs", "LizardFS"),
    ("saunafs", "SaunaFS"),
    ("curlftpfs", "curlftpfs"),
    ("davfs", "davfs"),
    ("gvfsd-fuse", "GVfs"),
    ("kio-fuse", "KIO"),
    ("google-drive-ocamlfuse", "Google Drive"),
];

pub(super) fn network_file_system(path: &Path) -> io::Result<Option<&'static str>> {
    // The sign of the field and its width differ between machines; the numbers are of 32 bits.
    let magic = rustix::fs::statfs(path)?.f_type as u32;
    if magic != FUSE {
        return Ok(by_magic(magic));
    }
    let device = rustix::fs::stat(path)?.st_dev;
    let device = (rustix::fs::major(device), rustix::fs::minor(device));
    let mounts = std::fs::read("/proc/self/mountinfo")?;
    Ok(by_mount(&String::from_utf8_lossy(&mounts), device))
}

pub(super) fn is_mounted(file: &Path) -> io::Result<bool> {
    use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};
    let found = statx(CWD, file, AtFlags::empty(), StatxFlags::TYPE)?;
    Ok(found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

fn by_magic(magic: u32) -> Option<&'static str> {
    let known = NETWORK.iter().find(|(number, _)| *number == magic);
    known.map(|(_, name)| *name)
}

/// What the mount of a FUSE device is called, if it is one of the network.
fn by_mount(mounts: &str, device: (u32, u32)) -> Option<&'static str> {
    let device = format!("{}:{}", device.0, device.1);
    let of_device = |line: &&str| line.split(' ').nth(2) == Some(&device);
    let line = mounts.lines().find(of_device)?;
    // Any number of optional fields comes before the lone dash.
    let (_, rest) = line.split_once(" - ")?;
    let mut fields = rest.split(' ');
    let (kind, source) = (fields.next()?, fields.next()?);
    let kind = kind.strip_prefix("fuse.").unwrap_or(kind);
    let known = NETWORK_FUSE.iter().find(|(known, _)| *known == kind);
    match known {
        Some((_, name)) => Some(name),
        // A type that is not known here, of something with an address.
        None if source.contains("://") => Some("FUSE"),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_the_network_are_known_and_local_ones_are_not_taken_for_it() {
        let names = [0x6969, 0xFF53_4D42, 0x0102_1997, 0x00C3_6400, 0x0BD0_0BD0].map(by_magic);
        assert_eq!(
            names.map(Option::unwrap),
            ["NFS", "CIFS", "9p", "Ceph", "Lustre"]
        );
        let (ext4, xfs, btrfs, tmpfs, overlay) =
            (0xEF53, 0x5846_5342, 0x9123_683E, 0x0102_1994, 0x794C_7630);
        for local in [ext4, xfs, btrfs, tmpfs, overlay, FUSE, 0] {
            assert_eq!(by_magic(local), None, "{local:x}");
        }
    }

    #[test]
    fn a_fuse_mount_is_told_by_its_type_or_an_address() {
        let mounts = "\
            22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
            40 22 0:50 / /mnt/a\\040b rw shared:7 master:2 - fuse.sshfs me@host:/x rw,user_id=0\n\
            41 22 0:51 / /mnt/c rw - fuse.bindfs /home/me rw\n\
            42 22 0:52 / /mnt/d rw - fuse https://cloud.example/dav rw\n\
            43 22 0:53 / /mnt/e rw - fuseblk /dev/sdb1 rw\n\
            44 22 0:500 / /mnt/f rw - fuse.glusterfs host:/volume rw\n";
        let name = |minor| by_mount(mounts, (0, minor));
        assert_eq!(
            [50, 51, 52, 53, 500, 5].map(name),
            [
                Some("sshfs"),
                None,
                Some("FUSE"),
                None,
                Some("GlusterFS"),
                None
            ]
        );
    }

    #[test]
    fn a_folder_for_temporary_files_is_local_and_a_missing_one_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(network_file_system(folder.path()).unwrap(), None);
        let missing = network_file_system(&folder.path().join("missing"));
        assert_eq!(missing.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
