// SPDX-License-Identifier: GPL-2.0-or-later
// Advanced SIMD: a walk through the classes. The whole of it against qemu-aarch64: a64_vec.py.
        ldr     q0, =0x0f0e0d0c0b0a09080706050403020100
        ldr     q1, =0xfffe8000000180ff7f0180ff00ff7f80
        ldr     x20, =scratch
        add     v2.16b, v0.16b, v1.16b  //= v2=0xe0c8d0c0b0b8907:0x8607850303018080
        sqadd   v3.8h, v0.8h, v1.8h     //= v3=0xf0c8d0c0b0b8a07:0x7fff860304017fff
        uqsub   v4.4s, v0.4s, v1.4s     //= v4=0xb088809:0x2028180 fpsr=0x8000000
        msr     fpsr, xzr
        mul     v5.8b, v0.8b, v1.8b     //= v5=0x0:0x790680fc00fe7f00
        addp    v6.4h, v0.4h, v1.4h     //= v6=0:0x0000807f0c0a0402
        addv    b7, v0.16b              //= v7=0:0x78
        uaddlv  h7, v1.16b              //= v7=0x0:0x7fa
        umaxv   s7, v1.4s               //= v7=0:0xfffe8000
        smull   v8.4s, v0.4h, v1.4h     //= v8=0x37c0106fd82fefc:0x2fefe007f8000
        umull2  v8.2d, v0.4s, v1.4s     //= v8=0xf0df676ec6e0000:0x109a0c8afef8
        sqdmulh v9.4s, v1.4s, v1.4s     //= v9=0x400000004:0x7e04fbfe0001fdfe
        uzp1    v10.16b, v0.16b, v1.16b
        zip2    v11.8h, v0.8h, v1.8h
        trn1    v12.2s, v0.2s, v1.2s    //= v12=0:0x00ff7f8003020100
        ext     v13.16b, v0.16b, v1.16b, #5
        tbl     v14.8b, {v0.16b, v1.16b}, v0.8b //= v14=0:0x0706050403020100
        tbx     v14.16b, {v0.16b}, v1.16b
        rev64   v15.4h, v0.4h           //= v15=0:0x0100030205040706
        cnt     v16.8b, v1.8b           //= v16=0:0x0701010800080701
        rbit    v16.8b, v1.8b           //= v16=0:0xfe8001ff00fffe01
        clz     v16.4h, v1.4h           //= v16=0:0x0001000000080001
        shl     v17.4s, v0.4s, #4       //= v17=0xf0e0d0c0b0a09080:0x7060504030201000
        sshr    v17.8b, v1.8b, #7       //= v17=0:0x0000ffff00ff00ff
        ushl    v18.16b, v1.16b, v0.16b
        shrn    v19.8b, v1.8h, #4       //= v19=0x0:0xff00000ff00f0ff8
        sqxtun  v19.8b, v1.8h           //= v19=0x0:0x100ff00ffff fpsr=0x8000000
        msr     fpsr, xzr
        movi    v20.4s, #1, msl #8      //= v20=0x000001ff000001ff000001ff000001ff
        mvni    v20.8h, #0x12
        bic     v20.4h, #0xff           //= v20=0:0xff00ff00ff00ff00
        dup     v21.8h, v1.h[4]         //= v21=0x80ff80ff80ff80ff80ff80ff80ff80ff
        ins     v21.s[1], v0.s[3]       //= v21=0x80ff80ff80ff80ff0f0e0d0c80ff80ff
        smov    x1, v1.h[4]             //= x1=0xffffffffffff80ff
        umov    w2, v1.b[0]             //= x2=0x80
        pmull   v22.8h, v0.8b, v1.8b
        fmov    v23.4s, #1.5
        fmla    v23.4s, v23.4s, v23.s[2] //= v23=0x40700000407000004070000040700000
        fcmgt   v24.4s, v23.4s, #0.0    //= v24=0xffffffffffffffffffffffffffffffff
        frecpe  v25.2s, v23.2s          //= v25=0:0x3e8880003e888000
        scvtf   v25.2d, v0.2d, #8
        // structures
        stp     q0, q1, [x20]
        str     q0, [x20, #32]
        ld3     {v26.8b-v28.8b}, [x20]  //= v26=0x0:0x80ff0f0c09060300
        ld3     {v26.4s-v28.4s}, [x20], #48
        st3     {v26.4s-v28.4s}, [x20]
        ld2     {v29.8h, v30.8h}, [x20] //= v29=0x800080ff80ff7f80:0xd0c090805040100
        ldr     q31, [x20, #32]         //= v31=0x0f0e0d0c0b0a09080706050403020100
        ld4     {v28.b-v31.b}[5], [x20]
        ld1r    {v28.2s}, [x20], x20
