{ lib, ... }:
let
  inherit (lib) mkOption types;

  baselineItem =
    description:
    mkOption {
      type = types.bool;
      default = true;
      description = "${description} False is an opt-out, which `hostctl status` lists.";
    };
in
{
  options.berth.hardening = {
    baseline = {
      sshKeysOnly = baselineItem "SSH takes keys only, for root too.";
      bans = baselineItem "fail2ban shuts out who keeps failing at SSH or at the webhook.";
      kernelSettings = baselineItem "Kernel settings that tell a process little about others.";
      sudoWheelOnly = baselineItem "sudo can be executed by the group wheel only.";
      nixDaemonClosed = baselineItem "Only the users named in `nixUsers` may talk to the Nix daemon.";
    };

    nixUsers = mkOption {
      type = types.listOf types.str;
      default = [
        "root"
        "@wheel"
      ];
      description = ''
        Users and @groups that may talk to the Nix daemon. Modules add the users of theirs that build.
        None of them is trusted: `nix.settings.trusted-users` stays root alone.
      '';
    };

    bans = {
      afterTries = mkOption {
        type = types.ints.between 1 100;
        default = 5;
        description = "Failed tries within `within` after which an address is shut out.";
      };
      within = mkOption {
        type = types.strMatching "[0-9]+[smhd]";
        default = "10m";
        description = "Time in which the tries are counted.";
      };
      duration = mkOption {
        type = types.strMatching "[0-9]+[smhd]";
        default = "1h";
        description = "How long the first ban lasts; each further one doubles, up to a week.";
      };
      never = mkOption {
        type = types.listOf types.str;
        # GitHub's webhook senders ("hooks" of https://api.github.com/meta): after a mistake with the
        # secret they would fail like an attacker, and a ban would outlast the mistake.
        default = [
          "192.30.252.0/22"
          "185.199.108.0/22"
          "140.82.112.0/20"
          "143.55.64.0/20"
          "2a0a:a440::/29"
          "2606:50c0::/32"
        ];
        description = "Addresses that are never banned.";
      };
    };
  };
}
