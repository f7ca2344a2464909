# First-boot systems for test/nix/disk-layouts.test.ts: `t` and `root` are those of test/nix/evaluate.nix.
{
  t,
  root,
  nixpkgs,
  disko,
}:
let
  inherit (t) lib pkgs;
  folder = root + "/initial-install";

  firstBoot =
    modules:
    (import (nixpkgs + "/nixos/lib/eval-config.nix") {
      system = null;
      modules = [
        (disko + "/module.nix")
        { nixpkgs.pkgs = pkgs; }
        (folder + "/configuration.nix")
      ]
      ++ modules;
    }).config;

  summaryOf = config: {
    system = config.system.build.toplevel.drvPath;
    script = config.system.build.diskoScript.drvPath;
    mounts = lib.mapAttrs (_: fs: "${fs.fsType} on ${fs.device}") config.fileSystems;
    grubDevices = config.boot.loader.grub.devices;
    mirroredBoots = map (boot: boot.path) config.boot.loader.grub.mirroredBoots;
    systemdBoot = config.boot.loader.systemd-boot.enable;
    luks = lib.attrNames config.boot.initrd.luks.devices;
  };

  devices = [
    "/dev/disk/by-id/first"
    "/dev/disk/by-id/second"
  ];
  devicesOf = {
    single-disk = lib.take 1 devices;
    mirrored = devices;
  };
in
{
  inherit firstBoot;

  # One layout in all its forms: { "<firmware> <fileSystem> <plain|encrypted>" = summary; }.
  matrix =
    layout:
    lib.listToAttrs (
      lib.mapCartesianProduct
        (
          {
            firmware,
            fileSystem,
            encrypted,
          }:
          lib.nameValuePair "${firmware} ${fileSystem} ${if encrypted then "encrypted" else "plain"}" (
            summaryOf (firstBoot [
              (import (folder + "/disk-layouts/${layout}.nix") {
                devices = devicesOf.${layout};
                inherit firmware fileSystem encrypted;
              })
              {
                berth.adminKeys = [ "ssh-ed25519 AAAA test" ];
                nixpkgs.hostPlatform = "x86_64-linux";
              }
            ])
          )
        )
        (import ./layout-choices.nix)
    );

  # A host of a hosts.toml, as the installer builds it.
  fromFile =
    file: name:
    firstBoot [ (import (folder + "/host-from-file.nix") { inherit name file; }) ];

  # The flake's outputs, called by hand with what its inputs would give.
  flake = (import (folder + "/flake.nix")).outputs {
    self = { };
    nixpkgs = {
      lib = lib // {
        nixosSystem =
          { modules }:
          import (nixpkgs + "/nixos/lib/eval-config.nix") {
            system = null;
            modules = modules ++ [ { nixpkgs.pkgs = pkgs; } ];
          };
      };
      legacyPackages = lib.genAttrs lib.systems.flakeExposed (_: pkgs);
    };
    disko.nixosModules.disko = disko + "/module.nix";
  };

  hostsOf = file: import (folder + "/read-hosts.nix") { inherit lib file; };
  layout = name: arguments: import (folder + "/disk-layouts/${name}.nix") arguments;
}
