# The root file system by name, as disko content. btrfs and xfs share blocks between copies (reflink); ext4 does not.
{
  ext4 = {
    type = "filesystem";
    format = "ext4";
    mountpoint = "/";
    mountOptions = [ "noatime" ];
  };
  xfs = {
    type = "filesystem";
    format = "xfs";
    extraArgs = [
      "-m"
      "reflink=1"
    ];
    mountpoint = "/";
    mountOptions = [ "noatime" ];
  };
  btrfs = {
    type = "btrfs";
    extraArgs = [ "-f" ];
    subvolumes = {
      "/root" = {
        mountpoint = "/";
        mountOptions = [ "noatime" ];
      };
      "/nix" = {
        mountpoint = "/nix";
        mountOptions = [
          "noatime"
          "compress=zstd"
        ];
      };
      # Databases, source trees and containers in one subvolume: only within one file system do copies share blocks.
      "/var" = {
        mountpoint = "/var";
        mountOptions = [ "noatime" ];
      };
    };
  };
}
