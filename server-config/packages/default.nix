# Packages of the flake. `host` is the machine that `vm` boots, `imageHost` the one inside the images.
{
  pkgs,
  host,
  imageHost,
}:
{
  preview-operator = pkgs.callPackage ./preview-operator.nix { };
  # `nix run .#vm`: the host in a window, its disks thrown away at the end.
  inherit (host.config.system.build) vm;
  vm-image = imageHost.config.system.build.images.qemu;
  lxc-image = imageHost.config.system.build.images.lxc;
}
