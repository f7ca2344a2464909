# What a disk layout may be asked for beside its devices; lib.mapCartesianProduct makes every combination of it.
{
  firmware = [
    "bios"
    "uefi"
  ];
  fileSystem = [
    "ext4"
    "btrfs"
    "xfs"
  ];
  encrypted = [
    false
    true
  ];
}
