# A virtual machine of Hetzner Cloud: virtio disk and network, address by DHCP.
{ lib, modulesPath, ... }:
{
  imports = [ (modulesPath + "/profiles/qemu-guest.nix") ];
  nixpkgs.hostPlatform = lib.mkDefault "x86_64-linux";
  networking.useDHCP = lib.mkDefault true;
  services.qemuGuest.enable = lib.mkDefault true;
}
