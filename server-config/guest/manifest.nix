# Units from a manifest's data. Commands reach the unit files as escaped arguments, never as unit syntax.
{
  config,
  lib,
  pkgs,
  utils,
  ...
}:
let
  inherit (config.guest) manifest;

  packageNamed =
    name:
    let
      package = lib.attrByPath (lib.splitString "." name) null pkgs;
    in
    if lib.isDerivation package then
      package
    else
      throw "preview.toml: packages: nixpkgs has no package '${name}'. Look its name up at https://search.nixos.org/packages";

  bash = "${pkgs.bashNonInteractive}/bin/bash";
  # Words are run as they are, but found on the unit's PATH, which systemd itself does not search.
  wordsOf =
    command:
    if builtins.isString command then
      [
        bash
        "-ec"
        command
      ]
    else
      [
        bash
        "-c"
        ''exec "$@"''
        "app"
      ]
      ++ command;

  ofTheApp = {
    partOf = [ "preview.target" ];
    after = [
      "network.target"
      "nss-lookup.target"
    ];
    path = [
      pkgs.bashNonInteractive
      pkgs.coreutils
      pkgs.findutils
      pkgs.gnugrep
      pkgs.gnused
      pkgs.gnutar
      pkgs.gzip
      pkgs.git
    ]
    ++ map packageNamed manifest.packages;
    serviceConfig = {
      User = "preview";
      Group = "preview";
      WorkingDirectory = "/home/preview/app";
      StateDirectory = "preview";
      # Read by systemd as root, so that the app's user need not be able to read it. The host writes it before the first boot.
      EnvironmentFile = "/etc/preview.env";
      NoNewPrivileges = true;
      ProtectSystem = "full";
    };
  };

  merged = lib.foldl' lib.recursiveUpdate { };

  setupUnit = merged [
    ofTheApp
    {
      description = "Set the app up";
      environment.HOME = "/home/preview";
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        TimeoutStartSec = manifest.setup.timeoutSeconds;
        ExecStart = utils.escapeSystemdExecArgs (
          [
            bash
            "${./run-setup-once.sh}"
            "/var/lib/preview/setup-done"
          ]
          ++ wordsOf manifest.setup.command
        );
      };
    }
  ];

  serviceUnit =
    service:
    merged [
      ofTheApp
      (lib.optionalAttrs (manifest.setup != null) {
        requires = [ "setup-preview.service" ];
        after = ofTheApp.after ++ [ "setup-preview.service" ];
      })
      {
        description = "${service.name} of the app";
        environment = {
          HOME = "/home/preview";
          HOST = "0.0.0.0";
        }
        // lib.optionalAttrs (service.port != null) { PORT = toString service.port; };
        unitConfig.StartLimitIntervalSec = 0;
        serviceConfig = {
          ExecStart = utils.escapeSystemdExecArgs (wordsOf service.command);
          Restart = "always";
          # From one second up to thirty: quick after a single crash, quiet when it crashes for good.
          RestartSec = "1s";
          RestartSteps = 6;
          RestartMaxDelaySec = "30s";
        };
      }
    ];

  unitOf = service: "app-${service.name}";
  names = map unitOf manifest.services;
in
{
  imports = [
    ./manifest-options.nix
    ./app-user.nix
  ];

  config = {
    assertions = [
      {
        assertion = lib.allUnique names;
        message = "preview.toml: services: every name may stand once.";
      }
    ];

    # For whoever looks into the preview with `preview exec` or `preview shell`.
    environment.systemPackages = map packageNamed manifest.packages;

    systemd.services =
      lib.listToAttrs (map (service: lib.nameValuePair (unitOf service) (serviceUnit service)) manifest.services)
      // lib.optionalAttrs (manifest.setup != null) { setup-preview = setupUnit; };

    # Not wanted by multi-user.target: the host would wait for the whole setup before it calls the container started, and give up after
    # a minute. The host starts this target itself, without waiting.
    systemd.targets.preview = {
      description = "The app of this preview";
      wants = map (name: "${name}.service") (lib.optional (manifest.setup != null) "setup-preview" ++ names);
    };

    system.build.previewMeta = {
      setupService = if manifest.setup == null then null else "setup-preview";
      appServices = names;
    };
    environment.etc."preview-meta.json".text = builtins.toJSON config.system.build.previewMeta;
  };
}
