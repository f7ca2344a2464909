{ lib, pkgs, ... }:
let
  hardened = {
    berth.features.hardening = true;
    services.openssh.enable = true;
  };
in
{
  "a hardened host takes keys only and root by key" = {
    modules = [ hardened ];
    shows = config: {
      sshd = {
        actual = lib.getAttrs [ "PasswordAuthentication" "KbdInteractiveAuthentication" "PermitRootLogin" ] config.services.openssh.settings;
        equals = {
          PasswordAuthentication = false;
          KbdInteractiveAuthentication = false;
          PermitRootLogin = "prohibit-password";
        };
      };
      "root's keys" = {
        actual = config.users.users.root.openssh.authorizedKeys.keys;
        equals = config.berth.adminKeys;
      };
      sysctl = {
        actual = config.boot.kernel.sysctl."kernel.unprivileged_bpf_disabled";
        equals = 1;
      };
      "nix users" = {
        actual = config.nix.settings.allowed-users;
        equals = [
          "root"
          "@wheel"
        ];
      };
    };
  };

  "the webhook jail exists only where Caddy does" = {
    modules = [ hardened ];
    shows = config: {
      jails = {
        actual = lib.attrNames config.services.fail2ban.jails;
        lacks = "berth-webhook";
        contains = "sshd";
      };
    };
  };

  "an opt-out is reported and takes effect" = {
    modules = [
      hardened
      { berth.hardening.baseline.bans = false; }
    ];
    shows = config: {
      fail2ban = {
        actual = config.services.fail2ban.enable;
        equals = false;
      };
      "what hostctl status says" = {
        actual = (builtins.fromJSON config.environment.etc."berth/hostctl.json".text).optOuts.fail2ban;
        equals = "berth.hardening.baseline.bans is off";
      };
    };
  };

  "no admin key" = {
    modules = [
      hardened
      { berth.adminKeys = lib.mkForce [ ]; }
    ];
    refused = "berth.adminKeys is empty";
  };
  "no SSH" = {
    modules = [
      hardened
      { services.openssh.enable = lib.mkForce false; }
    ];
    refused = "services.openssh.enable is false";
  };
  "password login" = {
    modules = [
      hardened
      { services.openssh.settings.PasswordAuthentication = true; }
    ];
    refused = "PasswordAuthentication is on, against the baseline";
  };
  "root by password" = {
    modules = [
      hardened
      { services.openssh.settings.PermitRootLogin = "yes"; }
    ];
    refused = "PermitRootLogin lets root in by password";
  };
  "sandbox off" = {
    modules = [
      hardened
      { nix.settings.sandbox = false; }
    ];
    refused = "nix.settings.sandbox is not true";
  };
  "a Nix of a branch that is no longer mended" = {
    modules = [
      hardened
      { nix.package = pkgs.nix // { version = "2.18.9"; }; }
    ];
    refused = "nix.package is Nix 2.18.9, older than 2.35";
  };
  "a Nix with a known hole" = {
    modules = [
      hardened
      { nix.package = pkgs.nix // { version = "2.31.4"; }; }
    ];
    refused = "nix.package is Nix 2.31.4, older than 2.31.5";
  };
  "an older branch that has the fix" = {
    modules = [
      hardened
      { nix.package = pkgs.nix // { version = "2.31.5"; }; }
    ];
    shows = config: {
      nix = {
        actual = config.nix.package.version;
        equals = "2.31.5";
      };
    };
  };
  "a trusted builder" = {
    modules = [
      hardened
      { nix.settings.trusted-users = [ "berth-build" ]; }
    ];
    refused = "nix.settings.trusted-users holds more than root";
  };
  "a ban time without a unit" = {
    modules = [
      hardened
      { berth.hardening.bans.duration = "3600"; }
    ];
    throws = "berth.hardening.bans.duration";
  };
  "an admin key that is none" = {
    modules = [
      hardened
      { berth.adminKeys = [ "hello" ]; }
    ];
    throws = "berth.adminKeys";
  };
}
