# What every host of ours has, whatever its role.
{ lib, ... }:
{
  time.timeZone = lib.mkDefault "UTC";
  i18n.defaultLocale = lib.mkDefault "C.UTF-8";
  documentation.enable = lib.mkDefault false;
  boot.tmp.cleanOnBoot = lib.mkDefault true;
  # Enough to go back to, few enough that /boot (1 GiB) holds their kernels.
  boot.loader.grub.configurationLimit = lib.mkDefault 10;
  boot.loader.systemd-boot.configurationLimit = lib.mkDefault 10;
  networking.useNetworkd = lib.mkDefault true;
  services.resolved.enable = lib.mkDefault true;
  services.timesyncd.enable = lib.mkDefault true;
  services.openssh.enable = lib.mkDefault true;
  # nixos-rebuild fetches a flake by git.
  programs.git.enable = lib.mkDefault true;
  nix.settings.experimental-features = lib.mkDefault [
    "nix-command"
    "flakes"
  ];
  berth.features = {
    firewall = lib.mkDefault true;
    hostctl = lib.mkDefault true;
  };
}
