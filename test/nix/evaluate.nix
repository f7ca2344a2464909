# What the tests ask of a real nixpkgs tree, as one function per question; test/nix/evaluation.ts calls it.
#   nixpkgs, disko  paths of the two trees        root  path of this repository
{
  nixpkgs,
  disko,
  root,
}:
let
  # One package set for all configurations of a call: it costs a second and 300 MB each time.
  pkgs = import nixpkgs {
    system = "x86_64-linux";
    config = { };
    overlays = [ ];
  };
  inherit (pkgs) lib;

  everything = root + "/server-config/modules/everything.nix";
  diskoModule = disko + "/module.nix";

  evaluate =
    modules:
    (import (nixpkgs + "/nixos/lib/eval-config.nix") {
      system = null;
      modules = [
        everything
        diskoModule
        { nixpkgs.pkgs = pkgs; }
      ]
      ++ modules;
    }).config;

  # The least that NixOS and our own assertions want of any machine.
  bareMachine = {
    fileSystems."/" = {
      device = "/dev/disk/by-label/root";
      fsType = "ext4";
    };
    boot.loader.grub.devices = [ "/dev/sda" ];
    system.stateVersion = "26.05";
    berth.adminKeys = [ "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKtestkeytestkeytestkeytestkeytestkeytestke admin@test" ];
  };

  failedAssertions = config: map (a: a.message) (lib.filter (a: !a.assertion) config.assertions);

  answerOf =
    case:
    let
      config = evaluate ([ bareMachine ] ++ case.modules);
      failed = failedAssertions config;
    in
    {
      inherit failed;
    }
    // (
      if case ? refused then
        { inherit (case) refused; }
      else
        { shown = lib.optionalAttrs (failed == [ ]) (case.shows config); }
    );

  casesOf = file: import file { inherit lib pkgs root; };
in
{
  inherit
    pkgs
    lib
    disko
    evaluate
    bareMachine
    ;

  # Every case of an eval-tests.nix that is decided by assertions or by what is rendered.
  answers = file: lib.mapAttrs (_: answerOf) (lib.filterAttrs (_: case: !(case ? throws)) (casesOf file));

  # Cases that end the evaluation itself (a wrong type): their names, then each in a call of its own.
  throwing = file: lib.mapAttrs (_: case: case.throws) (lib.filterAttrs (_: case: case ? throws) (casesOf file));
  forced =
    file: name:
    let
      config = evaluate ([ bareMachine ] ++ (casesOf file).${name}.modules);
    in
    builtins.deepSeq (failedAssertions config) config.system.build.toplevel.drvPath;

  # The outputs of a flake of ours, called by hand as the flake machinery would, with the two trees as inputs.
  flakeOutputs =
    flake:
    let
      inputs = {
        nixpkgs = {
          lib = lib // {
            nixosSystem = given: import (nixpkgs + "/nixos/lib/eval-config.nix") ({ system = null; } // given);
          };
          legacyPackages = lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] (system: import nixpkgs { inherit system; });
          outPath = toString nixpkgs;
          narHash = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
          lastModified = 1790000000;
        };
        disko = {
          nixosModules.disko = diskoModule;
          outPath = toString disko;
        };
      };
      self = (import (flake + "/flake.nix")).outputs (inputs // { inherit self; });
    in
    self;

  # One configuration with one module of ours alone, as who imports nixosModules.<name> has it.
  alone =
    name:
    (import (nixpkgs + "/nixos/lib/eval-config.nix") {
      system = null;
      modules = [
        (import (root + "/server-config/modules")).${name}
        { nixpkgs.pkgs = pkgs; }
        (removeAttrs bareMachine [ "berth" ])
      ];
    }).config;
}
