# The operator and its commands.
#
# The files lie under lib/berth and not under lib/node_modules, where Node refuses to run TypeScript. Each program is a
# wrapper made by writeShellApplication, so shellcheck has read it. nodejs_24 runs them; the npm package `node` is for
# machines without Nix.
{
  lib,
  buildNpmPackage,
  callPackage,
  importNpmLock,
  nodejs_24,
  git,
  openssh,
  symlinkJoin,
  writeShellApplication,
}:
let
  root = ../..;
  package = lib.importJSON (root + "/package.json");

  files = buildNpmPackage {
    pname = "berth-files";
    inherit (package) version;
    src = lib.fileset.toSource {
      inherit root;
      fileset = lib.fileset.unions [
        (root + "/package.json")
        (root + "/package-lock.json")
        (root + "/webhook")
        (root + "/scripts/check-settings.ts")
        # What the operator builds previews' closures from.
        (root + "/server-config/guest")
      ];
    };
    nodejs = nodejs_24;
    npmDeps = callPackage ./npm-dependencies.nix { inherit root; };
    inherit (importNpmLock) npmConfigHook;
    npmFlags = [
      "--omit=dev"
      "--omit=optional"
      "--ignore-scripts"
    ];
    # TypeScript runs as it is: there is nothing to build.
    dontNpmBuild = true;
    installPhase = ''
      runHook preInstall
      mkdir -p $out/lib/berth
      cp -r package.json webhook scripts server-config node_modules $out/lib/berth/
      rm -rf $out/lib/berth/node_modules/.bin $out/lib/berth/node_modules/node
      runHook postInstall
    '';
  };

  programWith =
    flags: name: main:
    writeShellApplication {
      inherit name;
      runtimeInputs = [
        nodejs_24
        git
        openssh
      ];
      text = ''exec node ${flags}${files}/lib/berth/${main} "$@"'';
    };
  program = programWith "";

  operatorMain = "webhook/main.ts";
  # Those of `npm start`.
  operatorFlags = lib.removeSuffix operatorMain (lib.removePrefix "exec node " package.scripts.start);

  # main.mjs where a command starts with something that TypeScript's loader must not see first.
  mainsOf = name: map (extension: "webhook/commands/${name}/main.${extension}") [
    "ts"
    "mjs"
  ];
  commands = lib.concatMap (
    name: map (program name) (lib.filter (main: lib.pathExists (root + "/${main}")) (mainsOf name))
  ) [
    "preview"
    "agent"
    "fleet"
    "hostctl"
  ];
in
symlinkJoin {
  name = "berth-${package.version}";
  paths = [
    files
    (programWith operatorFlags "berth-operator" operatorMain)
    (program "berth-hostd" "webhook/hostd/main.ts")
  ]
  ++ commands;
  passthru = {
    inherit files;
    commands = map lib.getName commands;
  };
  meta = {
    inherit (package) description;
    license = lib.licenses.mit;
    mainProgram = "berth-operator";
    platforms = lib.platforms.linux;
  };
}
