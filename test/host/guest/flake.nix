# The system of a preview's container on the test host: the same manifest.json in, the same unit names out as in
# server-config/guest, but without inputs and with the host's own systemd and programs, so that real nix builds it offline.
{
  outputs = { self }:
    let
      manifest = checked (builtins.fromJSON (builtins.readFile ./manifest.json));

      # The whole of this host's nixpkgs; another name fails as it does with the real one.
      packages = [ "git" "nodejs_24" "perl" ];
      checked = data:
        let unknown = builtins.filter (name: !(builtins.elem name packages)) data.packages;
        in if unknown == [ ] then data else throw "preview.toml: packages: nixpkgs has no package '${builtins.head unknown}'.";

      # A command is a shell line or a list of words; either ends up in a script of its own, never in a unit file.
      quoted = word: "'" + builtins.replaceStrings [ "'" ] [ "'\\''" ] word + "'";
      lineOf = command: if builtins.isString command then command else builtins.concatStringsSep " " (map quoted command);
      script = name: command: builtins.toFile name "cd /home/preview/app\n${lineOf command}\n";

      environment = ''
        User=preview
        Group=preview
        WorkingDirectory=/home/preview/app
        StateDirectory=preview
        Environment=HOME=/home/preview PATH=/usr/local/bin:/usr/bin
        EnvironmentFile=/etc/preview.env
        NoNewPrivileges=yes
      '';
      hasSetup = (manifest.setup or null) != null;
      port = service: if (service.port or null) == null then "" else "Environment=PORT=${toString service.port}";
      serviceUnit = service: builtins.toFile "app-${service.name}.service" ''
        [Unit]
        Description=${service.name} of the app
        PartOf=preview.target
        StartLimitIntervalSec=0
        ${if hasSetup then "Requires=setup-preview.service\nAfter=setup-preview.service" else ""}

        [Service]
        ${environment}Environment=HOST=0.0.0.0
        ${port service}
        ExecStart=/bin/bash -e ${script service.name service.command}
        Restart=always
        RestartSec=1
      '';
      setupUnit = builtins.toFile "setup-preview.service" ''
        [Unit]
        Description=Set the app up
        PartOf=preview.target

        [Service]
        ${environment}Type=oneshot
        RemainAfterExit=yes
        ExecStart=/bin/bash ${./run-setup-once.sh} /var/lib/preview/setup-done /bin/bash -e ${script "setup" manifest.setup.command}
      '';
      # The NixOS of this host: a module is a function or a set, and of a service the text of its script is all that counts.
      module = import ./preview-config.nix;
      own = if builtins.isFunction module then module { config = own; lib = builtins; pkgs = { }; } else module;
      meta = own.system.build.previewMeta;
      ownServices = own.systemd.services or { };
      ownUnit = name: builtins.toFile "${name}.service" ''
        [Unit]
        Description=${name} of the app
        PartOf=preview.target

        [Service]
        ${environment}Environment=HOST=0.0.0.0 PORT=${toString (builtins.head meta.routes).port}
        ${if name == meta.setupService then "Type=oneshot\nRemainAfterExit=yes" else "Restart=always"}
        ExecStart=/bin/bash -e ${script name ownServices.${name}.script}
      '';
      ownTarget = builtins.toFile "preview.target" ''
        [Unit]
        Description=The app of this preview
        Wants=${builtins.concatStringsSep " " (map (name: "${name}.service") meta.appServices)}
      '';
      ownSystem = systemOf (builtins.concatStringsSep "\n" (
        [ "cp ${ownTarget} $out/units/preview.target" ]
        ++ map (name: "cp ${ownUnit name} $out/units/${name}.service") (builtins.attrNames ownServices)
        ++ map (each: ": ${each}") (own.system.extraDependencies or [ ])
      ));

      systemOf = units: derivation {
        name = "preview-system";
        system = "x86_64-linux";
        PATH = "/usr/bin";
        builder = "/bin/sh";
        args = [
          "-c"
          ''
            mkdir -p $out/bin $out/units
            cp ${./init.sh} $out/init
            cp ${./guest.target} $out/units/guest.target
            ${units}
            printf x86_64-linux > $out/system
            printf '#!/bin/sh\nexit 0\n' > $out/bin/switch-to-configuration
            chmod +x $out/init $out/bin/switch-to-configuration
          ''
        ];
      };

      names = map (service: "app-${service.name}.service") manifest.services ++ (if hasSetup then [ "setup-preview.service" ] else [ ]);
      previewTarget = builtins.toFile "preview.target" ''
        [Unit]
        Description=The app of this preview
        Wants=${builtins.concatStringsSep " " names}
      '';
      units = builtins.concatStringsSep "\n" (
        [ "cp ${previewTarget} $out/units/preview.target" ]
        ++ (if hasSetup then [ "cp ${setupUnit} $out/units/setup-preview.service" ] else [ ])
        ++ map (service: "cp ${serviceUnit service} $out/units/app-${service.name}.service") manifest.services
      );
    in
    {
      packages.x86_64-linux.system = systemOf units;
      evaluation.x86_64-linux = {
        inherit meta;
        units = builtins.attrNames ownServices;
        drv = ownSystem.drvPath;
      };
    };
}
