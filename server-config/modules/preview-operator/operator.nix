# The operator: decides and acts. It has no privileges; what needs root it asks of berth-hostd. It listens on unix sockets,
# and, where there is no Caddy, as the previews' gateway on loopback.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.berth.previewOperator;
  given = lib.filterAttrs (_: file: file != null) (removeAttrs cfg.credentials [ "web-database-url" ]);
  ownDatabase = config.berth.features.database;
in
{
  config = lib.mkIf config.berth.features.previewOperator {
    systemd.services.berth-operator = {
      description = "Berth: previews of pull requests";
      wantedBy = [ "multi-user.target" ];
      wants = [
        "network-online.target"
      ]
      ++ lib.optional config.berth.features.previewContainers "berth-hostd.service"
      # It puts its routes in force when it starts.
      ++ lib.optional config.berth.features.ingress "caddy.service";
      requires = lib.optional ownDatabase "berth-database-rules.service";
      after = [
        "network-online.target"
        "berth-hostd.service"
        "berth-database-rules.service"
        "caddy.service"
      ];
      restartTriggers = [ config.environment.etc."berth/berth.toml".source ];
      path = [
        pkgs.git
        config.nix.package
      ];
      environment = {
        BERTH_CONFIG = "/etc/berth/berth.toml";
        NODE_ENV = "production";
        HOME = "/var/lib/berth";
      }
      // lib.optionalAttrs ownDatabase {
        # Over the unix socket, as the system user that we are: there is no password to keep.
        DATABASE_URL = "postgresql:///${config.berth.database.operatorRole}?host=/run/postgresql&user=${config.berth.database.operatorRole}";
      };
      serviceConfig = import ../../unit-sandbox.nix // {
        ExecStart = "${lib.getExe cfg.package} --only reconciler";
        User = cfg.user;
        Group = cfg.user;
        StateDirectory = "berth";
        StateDirectoryMode = "0750";
        RuntimeDirectory = "berth";
        RuntimeDirectoryMode = "0700";
        # Routes, where Caddy runs on this host.
        ReadWritePaths = lib.optional config.berth.features.ingress "/etc/caddy/previews";
        LoadCredential = lib.mapAttrsToList (name: file: "${name}:${file}") given;
        Restart = "always";
        RestartSec = 5;
        # A drain finishes what is in flight (webhook/core/limits.ts); then the job is taken up again at the next start.
        TimeoutStopSec = 30;
        KillMode = "mixed";
        # Caddy's group reads the route files; everything else of ours is closed by its own mode.
        UMask = "0027";
        MemoryMax = cfg.memoryMax;
        # What took the memory is ended (a git or a nix that we started is larger than we are), not all of us with it.
        OOMPolicy = "continue";
        TasksMax = 512;
        LimitNOFILE = 65536;
        OOMScoreAdjust = -250;
        # V8 compiles at run time.
        MemoryDenyWriteExecute = false;
        # A refused call is an error to handle, not a killed process.
        SystemCallErrorNumber = "EPERM";
        RestrictAddressFamilies = [
          "AF_UNIX"
          "AF_INET"
          "AF_INET6"
          # Node lists the host's interfaces by netlink, to see that the container range overlaps none.
          "AF_NETLINK"
        ];
        # Nothing on the metadata address is for us; a request that a URL led there must fail.
        IPAddressDeny = "169.254.0.0/16";
      };
    };
  };
}
