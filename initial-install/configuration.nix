# The least that boots, is reachable by our keys and can rebuild itself. The host's real configuration is server-config.
{ config, lib, ... }:
{
  imports = [
    ../server-config/flags.nix
  ];

  users.users.root.openssh.authorizedKeys.keys = config.berth.adminKeys;
  services.openssh.enable = true;
  services.openssh.settings = {
    PasswordAuthentication = false;
    KbdInteractiveAuthentication = false;
    PermitRootLogin = "prohibit-password";
  };

  nix.settings.experimental-features = [
    "nix-command"
    "flakes"
  ];
  programs.git.enable = true;
  programs.ssh.knownHosts = import ../server-config/known-hosts.nix;
  documentation.enable = lib.mkDefault false;
  system.stateVersion = "26.05";

  assertions = [
    {
      assertion = config.berth.adminKeys != [ ];
      message = "berth.adminKeys is empty: nobody could log in to the machine after its installation.";
    }
  ];
}
