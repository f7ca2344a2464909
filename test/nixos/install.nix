# A disk layout is written by disko onto real block devices, and the machine boots from them.
{
  pkgs,
  disko,
  name,
  layout,
  devices,
  firmware,
}:
let
  inherit (pkgs) lib;
  module = import layout { inherit devices firmware; };
in
(import (disko + "/lib") {
  inherit lib;
  makeTest = import (pkgs.path + "/nixos/tests/make-test-python.nix");
  eval-config = import (pkgs.path + "/nixos/lib/eval-config.nix");
  qemu-common = import (pkgs.path + "/nixos/lib/qemu-common.nix");
}).testLib.makeDiskoTest
  {
    inherit pkgs name;
    # The disks alone: disko's test chooses boot loader and kernel for its virtual machine.
    disko-config = {
      inherit (module { inherit lib; }) disko;
    };
    efi = firmware == "uefi";
    extraTestScript = ''
      machine.succeed("mountpoint /")
      machine.succeed("mountpoint /boot")
    ''
    + lib.optionalString (lib.length devices > 1) ''
      machine.succeed("grep -q 'active raid1' /proc/mdstat")
    '';
  }
