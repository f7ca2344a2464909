# Pieces that the layouts are put together from.
rec {
  fileSystems = import ./file-systems.nix;

  # One mebibyte that GRUB's second stage lives in on a GPT disk under BIOS.
  biosBoot = {
    size = "1M";
    type = "EF02";
    priority = 1;
  };

  # 1 GiB: ten kernels with their initrds.
  bootSize = "1G";

  espAt = mountpoint: {
    size = bootSize;
    type = "EF00";
    priority = 1;
    content = {
      type = "filesystem";
      format = "vfat";
      inherit mountpoint;
      # A disk that is missing must not keep the machine from booting off the other.
      mountOptions = [
        "umask=0077"
        "nofail"
      ];
    };
  };

  bootFileSystem = {
    type = "filesystem";
    format = "ext4";
    mountpoint = "/boot";
  };

  # The installer puts the passphrase there, in memory; at boot it is asked for (initrd-unlock.nix).
  passphraseFile = "/run/berth-disk-passphrase";

  rootContent =
    { fileSystem, encrypted }:
    let
      plain = fileSystems.${fileSystem};
    in
    if encrypted then
      {
        type = "luks";
        name = "root";
        passwordFile = passphraseFile;
        settings.allowDiscards = true;
        content = plain;
      }
    else
      plain;

  # All layouts take the same arguments, and refuse others with a sentence.
  checked =
    diskCount:
    {
      devices,
      firmware,
      fileSystem ? "ext4",
      encrypted ? false,
    }:
    let
      known = builtins.attrNames fileSystems;
      count = builtins.length devices;
    in
    if count != diskCount then
      throw "disk layout: devices holds ${toString count} disks, this layout takes ${toString diskCount}"
    else if diskCount == 2 && builtins.elemAt devices 0 == builtins.elemAt devices 1 then
      throw "disk layout: devices names ${builtins.head devices} twice; a mirror needs two disks"
    else if
      !(builtins.elem firmware [
        "bios"
        "uefi"
      ])
    then
      throw "disk layout: firmware is \"${firmware}\"; it is \"bios\" or \"uefi\""
    else if !(builtins.elem fileSystem known) then
      throw "disk layout: fileSystem is \"${fileSystem}\"; it is one of ${builtins.concatStringsSep ", " known}"
    else
      {
        inherit
          devices
          firmware
          fileSystem
          encrypted
          ;
      };

  disk = device: partitions: {
    type = "disk";
    inherit device;
    content = {
      type = "gpt";
      inherit partitions;
    };
  };
}
