# hosts.toml as options, so that a key that does not exist or a value of the wrong kind is an error that names it.
# install.ts checks the same file with the same rules before it contacts a machine (initial-install/hosts-file.ts).
{ lib, ... }:
let
  inherit (lib) mkOption types;

  required = type: mkOption { inherit type; };
  optional = default: type: mkOption { inherit default type; };

  octet = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
  ipv4 = "(${octet}\\.){3}${octet}";
  ipv6 = "[0-9a-f:]{2,39}";

  device.options = {
    path = required (types.strMatching "/dev/disk/by-id/[A-Za-z0-9._:+-]+");
    serial = required (types.strMatching "[A-Za-z0-9._:-]{1,64}");
  };

  host.options = {
    address = required (types.strMatching "${ipv4}|${ipv6}");
    hostKeyFingerprint = required (types.strMatching "SHA256:[A-Za-z0-9+/]{43}");
    system = required (
      types.enum [
        "x86_64-linux"
        "aarch64-linux"
      ]
    );
    firmware = required (
      types.enum [
        "bios"
        "uefi"
      ]
    );
    adminKeys = required (
      types.nonEmptyListOf (types.strMatching "(ssh|ecdsa|sk)-[a-z0-9@.-]+ [A-Za-z0-9+/=]+( [ -~]*)?")
    );
    disks = {
      layout = required (
        types.enum [
          "single"
          "mirrored"
        ]
      );
      fileSystem = optional "ext4" (
        types.enum [
          "ext4"
          "btrfs"
          "xfs"
        ]
      );
      encrypted = optional false types.bool;
      devices = required (types.listOf (types.submodule device));
    };
    network = {
      mac = required (types.strMatching "([0-9a-f]{2}:){5}[0-9a-f]{2}");
      addresses = optional [ ] (types.listOf (types.strMatching "${ipv4}/([12]?[0-9]|3[0-2])|${ipv6}/[0-9]{1,3}"));
      gateways = optional [ ] (types.listOf (types.strMatching "${ipv4}|${ipv6}"));
      nameservers = optional [ "185.12.64.1" "185.12.64.2" ] (types.listOf (types.strMatching "${ipv4}|${ipv6}"));
    };
  };
in
{
  options.hosts = mkOption {
    type = types.attrsOf (types.submodule host);
  };
}
