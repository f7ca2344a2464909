# hostd: the part that is root. It takes a fixed list of verbs with typed arguments (webhook/core/host-verbs.ts) on a
# unix socket, from the operator's user alone; it has no network and no HTTP.
{ config, lib, ... }:
let
  cfg = config.berth.previewOperator;
  arguments = [
    "--socket=/run/berth-hostd/socket"
    "--operator-uid=${toString cfg.userId}"
    "--operator-gid=${toString cfg.userId}"
    "--staging=/var/lib/berth/instances"
    "--pool=${config.berth.containerRange}"
    "--preview-pool=${config.berth.previewRange}"
    "--rules=/etc/berth/tenants.nft"
    "--caddyfile=/etc/caddy/caddy_config"
    "--caddy-socket=/run/caddy/admin.sock"
  ]
  # The operator builds from the same folder and compares.
  ++ lib.optional (cfg.settings.runtime ? guest) "--guest=${cfg.settings.runtime.guest}";
in
{
  config = lib.mkIf (config.berth.features.previewOperator && config.berth.features.previewContainers) {
    systemd.services.berth-hostd = {
      description = "Berth: what needs root";
      wantedBy = [ "multi-user.target" ];
      wants = lib.optional config.berth.features.firewall "berth-tenant-rules.service";
      after = [
        "berth-tenant-rules.service"
        "nftables.service"
        "dbus.service"
      ];
      before = [ "berth-operator.service" ];
      # Running containers are units of their own: neither a stop nor an update of hostd touches them.
      serviceConfig = import ../../unit-sandbox.nix // {
        ExecStart = "${lib.getExe' cfg.package "berth-hostd"} ${lib.escapeShellArgs arguments}";
        RuntimeDirectory = "berth-hostd";
        RuntimeDirectoryMode = "0750";
        # Containers' disks; whoever wants to bound all of them together gives the folder a file system of its own.
        StateDirectory = "berth-disks";
        StateDirectoryMode = "0700";
        Restart = "always";
        RestartSec = 1;
        TimeoutStopSec = 30;
        MemoryMax = "1G";
        TasksMax = 512;

        # Files of containers, their conf files and their profiles; nothing else of the host.
        ReadWritePaths = [
          "/etc/nixos-containers"
          "/var/lib/nixos-containers"
          "/nix/var/nix/profiles/per-container"
          "/nix/var/nix/gcroots/per-container"
          # nix-env registers each profile there, and a removed container's is left.
          "-/nix/var/nix/gcroots/auto"
          "/run"
        ];
        # nft; files that belong to the guests' uid ranges; entering a guest to ask its systemd; ending a guest's processes.
        CapabilityBoundingSet = [
          "CAP_NET_ADMIN"
          "CAP_CHOWN"
          "CAP_DAC_OVERRIDE"
          "CAP_DAC_READ_SEARCH"
          "CAP_FOWNER"
          "CAP_FSETID"
          "CAP_SETUID"
          "CAP_SETGID"
          "CAP_LINUX_IMMUTABLE"
          "CAP_KILL"
          "CAP_SYS_ADMIN"
          "CAP_SYS_PTRACE"
          "CAP_SYS_CHROOT"
        ];
        # `systemctl -M` and `nixos-container run` enter the guest's namespaces and read its /proc entry.
        RestrictNamespaces = false;
        ProtectProc = "default";
        ProcSubset = "all";
        # The guest's systemd answers over a unix socket; nft speaks netlink. No IP at all.
        RestrictAddressFamilies = [
          "AF_UNIX"
          "AF_NETLINK"
        ];
        IPAddressDeny = "any";
        # tar keeps a file's own mode, set-uid bits of the guest's files too.
        RestrictSUIDSGID = false;
        MemoryDenyWriteExecute = false;
        SystemCallErrorNumber = "EPERM";
        SystemCallFilter = [
          "@system-service"
          "@mount"
          "@privileged"
          "~@clock @module @raw-io @reboot @swap @cpu-emulation @obsolete"
        ];
        UMask = "0022";
      };
    };

    # Containers' disks are files with an ext4, whatever the host itself lies on. At boot, because a hardened host loads no module later.
    boot.kernelModules = [
      "loop"
      "ext4"
    ];
    boot.supportedFilesystems.ext4 = true;

    systemd.tmpfiles.settings."10-berth-containers" = {
      "/etc/nixos-containers".d.mode = "0755";
      "/var/lib/nixos-containers".d.mode = "0700";
      "/nix/var/nix/profiles/per-container".d.mode = "0700";
      "/nix/var/nix/gcroots/per-container".d.mode = "0755";
    };
  };
}
