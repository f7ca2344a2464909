# A rented machine with its own disks and an address that does not change.
{ lib, ... }:
{
  nixpkgs.hostPlatform = lib.mkDefault "x86_64-linux";
  networking.useDHCP = lib.mkDefault false;
  hardware.enableRedistributableFirmware = lib.mkDefault true;
  services.smartd.enable = lib.mkDefault true;
}
