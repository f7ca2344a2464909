# NixOS VM tests, for a machine with /dev/kvm: `nix build .#checks.x86_64-linux.<name>` in server-config/.
{ pkgs, disko }:
{
  install-single-disk = import ./install.nix {
    inherit pkgs disko;
    name = "install-single-disk";
    layout = ../../initial-install/disk-layouts/single-disk.nix;
    devices = [ "/dev/vdb" ];
    firmware = "uefi";
  };
  install-mirrored = import ./install.nix {
    inherit pkgs disko;
    name = "install-mirrored";
    layout = ../../initial-install/disk-layouts/mirrored.nix;
    devices = [
      "/dev/vdb"
      "/dev/vdc"
    ];
    firmware = "bios";
  };
  service-boots = pkgs.testers.runNixOSTest ./service-boots.nix;
  preview-in-container = pkgs.testers.runNixOSTest ./preview-in-container.nix;
  upgrade = pkgs.testers.runNixOSTest ./upgrade.nix;
}
