# What the images of packages/ boot: a hardened host that takes your key and nothing else yet. Its disk is the image's,
# so it has no disk layout; the rest comes with the first `nixos-rebuild switch --flake`.
{ lib, ... }:
{
  imports = [
    ./profiles/base.nix
    ./profiles/hardened.nix
  ];

  system.stateVersion = "26.05";
  nixpkgs.hostPlatform = lib.mkDefault "x86_64-linux";
  networking.useDHCP = lib.mkDefault true;
  # Put yours here before building an image: who holds this key may log in as root.
  berth.adminKeys = lib.mkDefault [ "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExampleExampleExampleExampleEx you@laptop" ];

  # A container's image would take its resolver from its host; ours asks for itself.
  image.modules.lxc.networking.useHostResolvConf = lib.mkForce false;
}
